/** Bytes as text. */

// By default the first character is left out where it is U+FEFF, and what was read is not what was written.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** The text of bytes, all of it; U+FFFD stands for what is no UTF-8. */
export const utf8Text = (bytes: Uint8Array): string => decoder.decode(bytes)
