/** Keys and values, which are bytes, as text in JSON and on command lines, and back without a change. */

export const encodings = ["text", "hex", "base64"] as const
export type Encoding = (typeof encodings)[number]

/** Characters of a text that a message repeats. */
const quotedLength = 60

const quoted = (text: string): string =>
  JSON.stringify(text.length > quotedLength ? `${text.slice(0, quotedLength)}…` : text)

/**
 * Bytes of base64, of either alphabet, with or without padding; `undefined` when another text is as long and as good.
 */
const bytesOfBase64 = (text: string): Uint8Array | undefined => {
  const [, digits = "", padding = ""] = /^([0-9A-Za-z+/_-]*)(={0,2})$/.exec(text) ?? [undefined, "!"]
  if (padding !== "" && text.length % 4 !== 0) return undefined
  const bytes = Buffer.from(digits, "base64")
  const canonical = digits.replaceAll("-", "+").replaceAll("_", "/")
  return bytes.toString("base64").replace(/=+$/, "") === canonical ? Uint8Array.from(bytes) : undefined
}

/** The bytes a text stands for, or what is wrong with it. Whatever would not come out as it was given is refused. */
export const readBytes = (text: string, encoding: Encoding): Uint8Array | string => {
  switch (encoding) {
    case "text":
      return text.isWellFormed()
        ? new TextEncoder().encode(text)
        : `${quoted(text)} has half of a surrogate pair, which is no text`
    case "hex":
      return /^(?:[0-9A-Fa-f]{2})*$/.test(text)
        ? Uint8Array.from(Buffer.from(text, "hex"))
        : `${quoted(text)} is not an even number of hex digits`
    case "base64":
      return bytesOfBase64(text) ?? `${quoted(text)} is not base64`
  }
}

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text of bytes; `undefined` when they are no UTF-8. */
export const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return strictText.decode(bytes)
  } catch {
    return undefined
  }
}

export const digitsOf = (bytes: Uint8Array, encoding: "hex" | "base64"): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding)

/** Bytes and the encoding that they are written in, which is base64 where text was asked for and they are none. */
export interface Written {
  readonly text: string
  readonly encoding: Encoding
}

export const written = (bytes: Uint8Array, encoding: Encoding): Written => {
  if (encoding !== "text") return { text: digitsOf(bytes, encoding), encoding }
  const text = textOf(bytes)
  return text === undefined ? { text: digitsOf(bytes, "base64"), encoding: "base64" } : { text, encoding }
}

/** A field of JSON named `Name`, and beside it how it is written when that is not how it was asked for. */
export type JsonField<Name extends string> =
  & { readonly [N in Name]: string }
  & { readonly [N in `${Name}Encoding`]?: Encoding }

/** The field of a JSON object, and beside it `NAMEEncoding` when the encoding is not the one that was asked for. */
export const jsonField = <Name extends string>(name: Name, bytes: Uint8Array, asked: Encoding): JsonField<Name> => {
  const { encoding, text } = written(bytes, asked)
  const field = encoding === asked ? { [name]: text } : { [name]: text, [`${name}Encoding`]: encoding }
  // The names are computed from the type's own parameter.
  return field as JsonField<Name>
}
