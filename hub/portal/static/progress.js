// Shows a grading job as it goes on. Without it the page loads itself again.
(() => {
  const place = document.querySelector("[data-events]");
  if (!place || !window.EventSource) return;
  const bar = place.querySelector("progress");
  const words = place.querySelector("[data-done]");
  const source = new EventSource(place.dataset.events);
  source.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    if (job.total) { bar.max = job.total; bar.value = job.done; }
    words.textContent = `${job.done} of ${job.total} submissions`;
    for (const item of job.items) {
      const cell = document.querySelector(`[data-student="${CSS.escape(item.username)}"]`);
      if (cell) cell.textContent = item.message || item.state;
    }
  });
  source.addEventListener("end", () => { source.close(); window.location.reload(); });
})();
