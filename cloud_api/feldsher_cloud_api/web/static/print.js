// The print button of the paper page.

document.getElementById("print").addEventListener("click", () => window.print());
