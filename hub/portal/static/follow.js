// Brings the parts of a page that change up to date. Without it the page loads itself again.
(() => {
  const wait_ms = 1000 * Number(document.currentScript.dataset.seconds);
  const parts = (page) => [...page.querySelectorAll("[data-follow]")];
  const follows = (page) => page.querySelector("script[data-seconds]");

  const alike = (old, node) => old.nodeType === 1 && old.cloneNode(false).isEqualNode(node.cloneNode(false));

  // Only what differs, however deep, so that a screen reader hears what is new and nothing loses the focus.
  function update(part, fresh) {
    const nodes = [...fresh.childNodes];
    nodes.forEach((node, at) => {
      const old = part.childNodes[at];
      if (!old) part.append(node);
      else if (old.isEqualNode(node)) return;
      else if (alike(old, node)) update(old, node);
      else old.replaceWith(node);
    });
    while (part.childNodes.length > nodes.length) part.lastChild.remove();
  }

  // What somebody is writing must not go with a reload.
  const writes = () => [...document.querySelectorAll("textarea")].some((box) => box.value !== box.defaultValue);
  // A form that was sent leads elsewhere: news from now on would be in its way, or take its notice away.
  let sent = false;
  document.addEventListener("submit", () => { sent = true; });

  async function look() {
    if (sent) return;
    let answer, page;
    if (document.hidden) {
      setTimeout(look, wait_ms); // nobody reads it now
      return;
    }
    try {
      answer = await fetch(window.location.href, { redirect: "manual" });
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      setTimeout(look, wait_ms); // the portal is away for a moment
      return;
    }
    if (sent) return;
    const now = parts(document), fresh = parts(page);
    const same = answer.ok && page.title === document.title && now.length === fresh.length;
    if (!(same && follows(page)) && !writes()) {
      window.location.reload(); // it leads elsewhere, or is another page now
      return;
    }
    if (same) now.forEach((part, at) => update(part, fresh[at]));
    setTimeout(look, wait_ms);
  }
  setTimeout(look, wait_ms);
})();
