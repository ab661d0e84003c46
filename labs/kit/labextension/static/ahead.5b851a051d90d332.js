// Asks at once for what JupyterLab and Notebook ask for one after another while they start. Over a line whose answers
// take 200 ms, a second visit so has its notebook two seconds sooner. Addresses that they do not ask for any more cost a
// request and nothing else; without this file they ask as before.
(() => {
  const NAME = "ictlab-ahead";
  // Module federation's container: JupyterLab loads the file as an extension, before its own parts are evaluated.
  (window._JUPYTERLAB ??= {})[NAME] = { init: () => {}, get: () => Promise.reject(new Error(`${NAME} has no modules`)) };

  const FIRST_USE_MS = 60_000; // scripts that a slow line has yet to bring
  const AGAIN_MS = 3_000; // several parts ask for the same; later somebody wants to know it anew
  const page = JSON.parse(document.getElementById("jupyter-config-data").textContent);
  const base = page.baseUrl;
  const path = window.location.pathname; // of the notebook below one of these, encoded as in api/contents
  const [view, notebook] = [`${base}lab/tree/`, `${base}notebooks/`].flatMap((each) =>
    path.startsWith(each) && path.endsWith(".ipynb") ? [each, path.slice(each.length)] : []);
  if (!notebook) return;

  const inLab = view.endsWith("lab/tree/");
  const file = `api/contents/${notebook}`;
  const folder = file.slice(0, file.lastIndexOf("/"));
  const ofLab = (address) => address.includes(`${base}lab/api/`);
  const settings = (name) => `lab/api/settings/@jupyterlab/${name}`;
  // In the order in which they are needed: a browser asks a server for six things at a time.
  const addresses = [
    "lab/api/settings",
    "lab/api/translations/default",
    "api/kernelspecs",
    ...(inLab ? ["lab/api/workspaces/default", `${file}?content=0&hash=0`] : []),
    `${file}?type=notebook&content=1&hash=1&contentProviderId=undefined`,
    "api/sessions",
    "api/me",
    settings("codemirror-extension:plugin"),
    settings("notebook-extension:panel"),
    ...(inLab ? [settings("docmanager-extension:plugin"), `${folder}?content=0&hash=0`] : []),
    `${file}/checkpoints`,
    "lab/api/translations",
    "api/contents?content=1&hash=0",
  ];

  const ask = window.fetch.bind(window);
  const headers = new Headers();
  if (page.token) headers.set("Authorization", `token ${page.token}`);
  const xsrf = document.cookie.match(/\b_xsrf=([^;]*)\b/);
  if (xsrf) headers.set("X-XSRFToken", xsrf[1]);
  const begun = performance.now();
  const asked = new Map();
  for (const address of addresses) {
    // what is large and nobody's own may stay in the browser, which asks whether it has changed
    const answer = ask(base + address, { headers, cache: address === "lab/api/settings" ? "no-cache" : "no-store" });
    answer.catch(() => {}); // whoever wants it asks anew
    asked.set(new URL(base + address, window.location.href).href, { answer, until: begun + FIRST_USE_MS });
  }

  window.fetch = (resource, options) => {
    const address = String(resource.url ?? resource).replace(/[?&]\d{13}$/, ""); // the time, JupyterLab's against caches
    if ((options?.method ?? resource.method ?? "GET") !== "GET") {
      // What was so before a change may be so no more: of files and kernels, or of JupyterLab's own memory.
      for (const each of asked.keys()) if (ofLab(each) === ofLab(address)) asked.delete(each);
    }
    const found = asked.get(address);
    if (!found || performance.now() > found.until) return ask(resource, options);
    found.until = Math.min(found.until, performance.now() + AGAIN_MS);
    return found.answer.then(
      (answer) => (answer.ok ? answer.clone() : ask(resource, options)),
      () => ask(resource, options),
    );
  };
})();
