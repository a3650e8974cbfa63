// Runs the steps of a test when the page is ready, and replaces the page by their result.
addEventListener("load", async () => {
  const result = { width: document.documentElement.scrollWidth };
  const all = (query, root) => [...(root || document).querySelectorAll(query)];
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  try {
    STEPS
  } catch (error) {
    result.error = String(error.stack);
  }
  document.body.replaceChildren(element("pre", { id: "result" }, JSON.stringify(result)));
});
