/** A text in the fragment of a link, which browsers do not send to a server. */

const PREFIX = "#t=";
const MAX_LINK = 16_000; // longer links are cut by messengers

/**
 * Return a link to this page with a text, or null if it would be too long.
 * @param {string} text
 * @returns {Promise<string | null>}
 */
export async function linkTo(text) {
  const bytes = await through(new Blob([text]), new CompressionStream("deflate-raw"));
  const encoded = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const link = new URL(location.href);
  link.hash = PREFIX + encoded.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return link.href.length <= MAX_LINK ? link.href : null;
}

/**
 * Return the text in the page's address and remove it from there, because it is no longer true after an edit.
 * @returns {Promise<string | null>} null without one
 * @throws if the link is damaged
 */
export async function textOfLink() {
  const { hash } = location;
  if (!hash.startsWith(PREFIX)) return null;
  history.replaceState(null, "", location.pathname + location.search);
  const encoded = hash.slice(PREFIX.length).replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  return new TextDecoder("utf-8", { fatal: true }).decode(
    await through(new Blob([bytes]), new DecompressionStream("deflate-raw")),
  );
}

async function through(blob, transform) {
  return new Uint8Array(await new Response(blob.stream().pipeThrough(transform)).arrayBuffer());
}
