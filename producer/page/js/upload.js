/** Extraction from a whole file, which the server reads: choose or drop it, follow it, stop it, show its results. */
import { ApiError, createJob, job, jobEvents, revokeJob } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { MESSAGES } from "./messages.js";

const MAX_RECONNECTS = 8; // consecutive reconnects of a lost event stream
const MAX_RECONNECT_DELAY_MS = 10_000;

/** Codes of refused files, and the keys of their messages; the server's own message has the reason. */
const REFUSED = {
  invalid_text: "fileInvalid",
  invalid_request: "fileInvalid",
  unsupported_media_type: "fileInvalid",
  too_large: "fileTooLarge",
  too_many_texts: "fileTooLarge",
};

/** Why a job has no results; `key` is a key of messages.js. */
class FileError extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

export class FileUpload {
  /**
   * @param {import("./results_table.js").ResultsTable} table
   * @param {(error: ApiError) => void} onUnauthorized
   */
  constructor(table, onUnauthorized) {
    this.table = table;
    this.onUnauthorized = onUnauthorized;
    this.message = byId("file-message");
    this.notice = byId("file-notice"); // how the server reads the file, in its words
    this.bar = byId("file-progress");
    this.eta = byId("file-eta");
    this.stopButton = byId("file-stop");
    this.input = byId("file-input");
    this.options = byId("file-options");
    this.column = byId("file-column");
    this.encoding = byId("file-encoding");
    for (const option of [this.column, this.encoding]) {
      option.addEventListener("change", () => this.file && this.start(this.file));
    }
    byId("file-choose").addEventListener("click", () => this.input.click());
    this.input.addEventListener("change", () => {
      const [file] = this.input.files;
      if (file) this.start(file);
      this.input.value = "";
    });
    this.stopButton.addEventListener("click", () => this.stop());
    this.acceptDrops();
  }

  acceptDrops() {
    const zone = byId("file");
    let depth = 0; // dragenter and dragleave fire for every child
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    const over = (by) => {
      depth = Math.max(0, depth + by);
      zone.classList.toggle("dropping", depth > 0);
    };
    addEventListener("dragenter", (event) => hasFile(event) && over(1));
    addEventListener("dragleave", (event) => hasFile(event) && over(-1));
    addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      over(-depth);
      const [file] = event.dataTransfer.files;
      if (file) this.start(file);
    });
  }

  async start(file) {
    if (this.controller) await this.stop();
    const controller = new AbortController();
    this.controller = controller;
    this.file = file;
    const { signal } = controller;
    this.table.hide();
    this.notice.textContent = "";
    byId("file").scrollIntoView({ block: "nearest" });
    try {
      this.showMessage("uploading", { name: file.name });
      this.setBusy(true);
      const column = this.column.value.trim();
      const created = await createJob(file, { column, member: column, encoding: this.encoding.value }, signal);
      this.id = created.id;
      this.notice.textContent = created.notices?.join("; ") ?? "";
      this.done = { done: 0, total: created.total };
      const ended = await this.follow(created, signal);
      if (ended.state === "revoked") throw new FileError("stopped", this.done);
      const { documents } = await job(created.id, signal);
      if (documents.length !== created.total) throw new FileError("mismatch");
      const rows = documents.map(({ text = "", entities = [], error, ...fields }) => ({ text, entities, error, fields }));
      this.table.show(rows, file.name);
      const names = rows.reduce((sum, row) => sum + row.entities.length, 0);
      const failed = rows.filter((row) => row.error).length;
      this.showMessage("finished", { name: file.name, texts: rows.length, names, failed });
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    } finally {
      if (this.controller === controller) {
        this.controller = null;
        this.setBusy(false);
      }
    }
  }

  /** Follow a job's events to its end, reconnecting a lost stream. Resolves to the last event. */
  async follow({ id, total }, signal) {
    const began = performance.now();
    let failures = 0;
    for (;;) {
      try {
        for await (const event of jobEvents(id, signal)) {
          failures = 0;
          this.done = { done: event.done, total: event.total ?? total };
          this.progress(event.done, event.total ?? total, began);
          if (event.state === "done" || event.state === "revoked") return event;
        }
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== "offline") throw error;
      }
      if (signal.aborted) throw new DOMException("stopped", "AbortError");
      if (++failures > MAX_RECONNECTS) throw new FileError("jobLost");
      const delay = Math.min(MAX_RECONNECT_DELAY_MS, 250 * 2 ** failures);
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }

  async stop() {
    const { id, done, controller } = this;
    if (!controller) return;
    controller.abort();
    this.controller = null;
    this.setBusy(false);
    this.showMessage("stopped", done ?? { done: 0, total: 0 });
    this.id = null;
    this.done = null;
    if (id) await revokeJob(id).catch(() => {}); // finished or unreachable, so there is nothing to revoke
  }

  progress(done, total, began) {
    this.bar.max = total;
    this.bar.value = done;
    this.showMessage("progress", { done, total });
    const seconds = (performance.now() - began) / 1000;
    const left = done > 0 ? Math.ceil((seconds / done) * (total - done)) : 0;
    this.eta.textContent = seconds > 2 && left > 1 ? t("eta", { count: left }) : "";
  }

  fail(error) {
    if (error instanceof FileError) return this.showMessage(error.key, error.values, true);
    const { code, detail } = error instanceof ApiError ? error : { code: "unexpected", detail: String(error) };
    if (code === "invalid_text") this.options.open = true; // it may need the column or the encoding
    const key = REFUSED[code] ?? (code in MESSAGES.en ? code : "unexpected");
    this.showMessage(key, { name: this.file.name }, true, detail);
    if (code === "unauthorized") this.onUnauthorized(error);
    return undefined;
  }

  setBusy(busy) {
    this.bar.hidden = !busy;
    this.stopButton.hidden = !busy;
    this.eta.textContent = "";
    this.bar.removeAttribute("value"); // indeterminate until the first event
  }

  showMessage(key, values, wrong = false, detail = "") {
    this.lastMessage = [key, values, wrong, detail];
    this.message.textContent = t(key, values) + (detail ? ` ${t("serverMessage", { detail })}` : "");
    this.message.classList.toggle("wrong", wrong);
  }

  /** Show the message again after a change of the language. */
  redraw() {
    if (this.lastMessage) this.showMessage(...this.lastMessage);
  }
}
