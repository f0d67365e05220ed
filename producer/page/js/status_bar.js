/** The panel for operators: workers, queue, batches, latency. Polls the API while the page is visible. */
import { ApiError, status } from "./api.js";
import { number, t } from "./i18n.js";

const INTERVAL_MS = 2000;
const INTERVAL_AFTER_ERROR_MS = 6000;

export class StatusBar {
  /**
   * @param {Record<"short" | "state" | "queue" | "batch" | "latency" | "result" | "model", HTMLElement>} cells
   * @param {(known: {workers: number | null}) => void} onStatus called after each poll, with the number of workers or null
   */
  constructor(cells, onStatus) {
    this.cells = cells;
    this.onStatus = onStatus;
    this.status = null;
    this.resultMs = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.refresh()));
    this.refresh();
  }

  pause() {
    clearTimeout(this.timer);
  }

  async refresh() {
    clearTimeout(this.timer);
    let wait = INTERVAL_MS;
    try {
      this.status = await status();
    } catch (error) {
      this.status = null;
      if (!(error instanceof ApiError)) throw error;
      wait = Math.max(INTERVAL_AFTER_ERROR_MS, (error.retryAfter ?? 0) * 1000);
    }
    this.draw();
    this.onStatus({ workers: this.status ? this.status.workers.length : null });
    if (!document.hidden) this.timer = setTimeout(() => this.refresh(), wait);
  }

  /** Show how long this page waited for its last result. */
  setResultTime(ms) {
    this.resultMs = ms;
    this.draw();
  }

  draw() {
    const { cells, status: now } = this;
    const workers = now?.workers ?? [];
    const processes = workers.reduce((sum, worker) => sum + worker.processes, 0);
    cells.short.textContent = now ? t(workers.length ? "up" : "down") : t("stale");
    cells.short.parentElement.dataset.state = !now ? "unknown" : workers.length ? "up" : "down";
    cells.state.textContent = now ? number(processes) : t("unknown");
    cells.queue.textContent = now ? t("textsUnit", { count: now.queue.depth }) : t("unknown");
    cells.batch.textContent = format(mean(workers, "batch_texts"), (value) => number(value, 1));
    cells.latency.textContent = format(mean(workers, "latency_ms"), duration);
    cells.result.textContent = format(this.resultMs, duration);
    const models = [...new Set(workers.map((worker) => worker.model))];
    cells.model.textContent = models.length ? models.map((model) => model.split("@")[0]).join(", ") : t("unknown");
    cells.model.title = models.join(", ");
  }
}

/** Return the mean over workers, weighted by their rate; null if no worker has processed a text. */
function mean(workers, name) {
  let sum = 0;
  let weights = 0;
  for (const worker of workers) {
    if (!worker[name]) continue;
    const weight = worker.rate || 0.001;
    sum += worker[name] * weight;
    weights += weight;
  }
  return weights ? sum / weights : null;
}

const format = (value, formatter) => (value === null ? t("unknown") : formatter(value));

export function duration(ms) {
  return ms >= 10_000 ? t("seconds", { count: number(ms / 1000, 1) }) : t("ms", { count: number(ms, ms < 10 ? 1 : 0) });
}
