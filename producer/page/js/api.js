/** The gateway's API: requests, errors as one class, and server-sent events with an API key. */
import { forTab, read, write } from "./storage.js";

const ROOT = new URL("api/v1/", document.baseURI);
const STORAGE_KEY = "hanner.key";
const TIMEOUT_MS = 60_000; // longer than the gateway's own timeout; for a server that does not respond at all

/** Why a request failed. */
export class ApiError extends Error {
  /**
   * @param {string} code an error code of hanner, a code that only HTTP has, or `offline`
   * @param {string} detail the server's message; empty if it sent no message
   * @param {number | null} retryAfter seconds to wait before a retry, as the server asked
   */
  constructor(code, detail = "", retryAfter = null) {
    super(detail || code);
    this.code = code;
    this.detail = detail;
    this.retryAfter = retryAfter;
    this.values = {}; // for the message of the code
  }
}

/** Codes for responses that are not problem details. */
const CODE_BY_STATUS = {
  400: "invalid_text",
  401: "unauthorized",
  403: "unauthorized",
  413: "too_large",
  422: "invalid_text",
  429: "rate_limited",
  502: "offline",
  503: "broker_unreachable",
  504: "timed_out",
};

let key = read(forTab, STORAGE_KEY) ?? "";

export function setApiKey(value) {
  key = value;
  write(forTab, STORAGE_KEY, value);
}

/**
 * Return the entities of one text, with offsets in UTF-16 units.
 * @param {string} text
 * @param {AbortSignal} signal
 * @returns {Promise<import("./spans.js").Entity[]>}
 */
export async function extract(text, signal) {
  const result = await request("ner", { method: "POST", json: { text, offsets: "utf16" }, signal });
  return result.entities;
}

/** Return the limits of requests: `text_characters` and others. */
export const limits = async () => (await request("info", {})).limits;

export const status = () => request("status", {});

/**
 * Create a job; its documents have their texts, as the server decoded them.
 * @param {File} file
 * @param {Record<string, string>} reading how the file is read: `column`, `member`, `encoding`; empty values are left out
 * @returns {Promise<{id: string, total: number, notices?: string[]}>}
 */
export function createJob(file, reading, signal) {
  const body = new FormData();
  body.append("file", file, file.name);
  for (const [name, value] of Object.entries({ ...reading, offsets: "utf16", include_text: "true" })) {
    if (value) body.append(name, value);
  }
  return request("jobs", { method: "POST", body, signal });
}

export const job = (id, signal) => request(`jobs/${encodeURIComponent(id)}`, { signal });

export const revokeJob = (id) => request(`jobs/${encodeURIComponent(id)}`, { method: "DELETE" });

/**
 * Yield the events of a job until the server closes the stream.
 * EventSource cannot send an API key, so the stream is parsed here.
 */
export async function* jobEvents(id, signal) {
  const response = await send(`jobs/${encodeURIComponent(id)}/events`, {
    signal,
    headers: { Accept: "text/event-stream" },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event
          .split("\n")
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trimStart());
        if (data.length) yield JSON.parse(data.join("\n"));
      }
    }
  } catch (error) {
    throw signal?.aborted ? error : new ApiError("offline", String(error.message ?? error));
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function request(path, options) {
  const response = await send(path, { ...options, timeout: TIMEOUT_MS });
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("unexpected", "The response is not JSON.");
  }
}

async function send(path, { method = "GET", json, body, signal, headers = {}, timeout }) {
  if (key) headers = { ...headers, Authorization: `Bearer ${key}` };
  if (json !== undefined) {
    body = JSON.stringify(json);
    headers = { ...headers, "Content-Type": "application/json" };
  }
  const signals = [signal, timeout && AbortSignal.timeout(timeout)].filter(Boolean);
  let response;
  try {
    response = await fetch(new URL(path, ROOT), {
      method,
      body,
      headers,
      signal: signals.length ? AbortSignal.any(signals) : undefined,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("offline", error.name === "TimeoutError" ? "The server did not respond." : "");
  }
  if (!response.ok) throw await readProblem(response);
  return response;
}

async function readProblem(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // not JSON, such as a proxy's page: the status is used instead
  }
  const code = CODE_BY_STATUS[response.status] ?? "unexpected";
  const detail = typeof body.detail === "string" ? body.detail : "";
  return new ApiError(typeof body.code === "string" ? body.code : code, detail, retryAfterSeconds(response));
}

/** Return Retry-After in seconds; the header is a number or a date. */
function retryAfterSeconds(response) {
  const header = response.headers.get("Retry-After");
  if (!header) return null;
  const value = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(value) ? Math.max(1, Math.ceil(value)) : null;
}
