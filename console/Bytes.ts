/** Keys and values are bytes: how they travel, and how they are shown to people and typed by them. */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
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

/** What a line of text does not show, or does not keep: a field for typing drops line ends, others turn letters round. */
const unseen =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/

/** A key in one line: its text, or its bytes with `\x` before those that are none. */
export const shownKey = (bytes: Uint8Array): string => {
  const text = textOf(bytes)
  if (text !== undefined && !unseen.test(text) && !escaped.test(text)) return text
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

const isJson = (text: string): boolean => {
  try {
    return JSON.parse(text) !== undefined
  } catch {
    return false
  }
}

/** The parts of JSON: texts, signs, and what is neither. */
const jsonParts = /"(?:[^"\\]+|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g

/** Lists and objects within each other that are still shown as such. */
const maxDepth = 100

/**
 * JSON with a line for each field, each number and text as it is written: what is parsed has other digits of large
 * numbers, and one of two fields of a name. `undefined` for what is no JSON.
 */
export const jsonOf = (bytes: Uint8Array): string | undefined => {
  const text = textOf(bytes)
  if (text === undefined || !/^\s*[[{"]/.test(text) || !isJson(text)) return undefined
  const parts = text.match(jsonParts) ?? []
  const lines: Array<string> = []
  let line = ""
  let depth = 0
  const next = (begin: string) => {
    lines.push(line)
    line = "  ".repeat(depth) + begin
  }
  for (const [at, part] of parts.entries()) {
    const before = parts[at - 1] ?? ""
    if (depth > maxDepth) return undefined
    if (/^[\]}]$/.test(part)) {
      depth -= 1
      if (/^[[{]$/.test(before)) line += part
      else next(part)
    } else if (/^[[{]$/.test(before) || before === ",") next(part)
    else line += before === ":" ? ` ${part}` : part
    if (/^[[{]$/.test(part)) depth += 1
  }
  return [...lines, line].join("\n")
}
