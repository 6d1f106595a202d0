-- A new password seals its owner's signing key anew: the key's own person alone may do that, and its public half stays.
GRANT UPDATE (salt, nonce, wrapped) ON cloud.signing_key TO feldsher_api;
CREATE POLICY reseal ON cloud.signing_key FOR UPDATE TO feldsher_api
    USING (person = (SELECT app.person())) WITH CHECK (person = (SELECT app.person()));
