// Tells the portal the reader's time zone, once. Without it times are in the site's zone until the reader chooses.
(() => {
  const { path, zone } = document.currentScript.dataset;
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!here || document.cookie.includes("ictlabs-zone=")) return; // said before: the portal does not know this one
  const said = `ictlabs-zone=${here}`;
  const secure = window.location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${said}; path=${path}; max-age=31536000; samesite=lax${secure}`;
  if (here !== zone && document.cookie.includes(said)) window.location.reload();
})();
