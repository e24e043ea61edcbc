/** Keys and values are bytes: how they travel, and how they are shown to people and typed by them. */

const decoder = new TextDecoder("utf-8", { fatal: true })
const encoder = new TextEncoder()

export const toBase64 = (bytes: Uint8Array): string => {
  let text = ""
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192))
  return btoa(text)
}

export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (char) => char.charCodeAt(0))

export const fromText = (text: string): Uint8Array => encoder.encode(text)

/** The text of bytes that are UTF-8. */
export const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const control = /[\u0000-\u0008\u000b-\u001f\u007f]/

/** Text that a person can read; `undefined` for bytes that are none. */
export const readable = (bytes: Uint8Array): string | undefined => {
  const text = textOf(bytes)
  return text === undefined || control.test(text) ? undefined : text
}

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

/** What stands for a byte. A key whose own text has it is shown byte by byte, so that it can be typed again. */
const escaped = /\\x[0-9a-f]{2}/i

/** A key in one line: its text, or its bytes with `\x` before those that are none. */
export const shownKey = (bytes: Uint8Array): string => {
  const text = readable(bytes)
  if (text !== undefined && !escaped.test(text)) return text
  let shown = ""
  for (const byte of bytes) {
    shown += byte >= 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : `\\x${hex(byte)}`
  }
  return shown
}

/** What {@link shownKey} shows, as bytes again. */
export const typedKey = (text: string): Uint8Array => {
  const bytes: Array<number> = []
  for (const part of text.split(/(\\x[0-9a-f]{2})/i)) {
    if (/^\\x[0-9a-f]{2}$/i.test(part)) bytes.push(Number.parseInt(part.slice(2), 16))
    else bytes.push(...fromText(part))
  }
  return Uint8Array.from(bytes)
}

/** Bytes as a hex dump: offset, bytes, text. */
export const hexDump = (bytes: Uint8Array): string => {
  const lines: Array<string> = []
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16)
    const left = [...row].map(hex).join(" ").padEnd(47)
    const right = [...row].map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("")
    lines.push(`${at.toString(16).padStart(6, "0")}  ${left}  ${right}`)
  }
  return lines.join("\n")
}

/** JSON with a line for each field; `undefined` for what is no JSON. */
export const jsonOf = (bytes: Uint8Array): string | undefined => {
  const text = textOf(bytes)
  if (text === undefined || !/^\s*[[{"]/.test(text)) return undefined
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return undefined
  }
}
