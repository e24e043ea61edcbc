/**
 * The text of a token, which a client shows instead of a certificate:
 *
 * ```
 * fdb_NAME_SECRET
 *   SECRET   43 characters for 256 random bits, 6 for the CRC-32 of all before them; digits in base 62
 * ```
 *
 * The fixed beginning and the checksum let scanners of source code find tokens that leaked, and let a mistyped one be
 * refused where it is typed. The cluster keeps the SHA-256 of the secret and nothing else of it.
 */
import type { Problem } from "../Limits.ts"
import { problem } from "../Limits.ts"
import { nameProblem } from "./AccessLimits.ts"

const beginning = "fdb_"

/** Bytes of a secret. */
export const tokenSecretBytes = 32

const secretDigits = 43
const checksumDigits = 6

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const base = BigInt(digits.length)

/** The text of a token of this name. The secret has {@link tokenSecretBytes} bytes, from a source of random bytes. */
export const formatToken = (name: string, secret: Uint8Array): string => {
  const unchecked = `${beginning}${name}_${inBase62(numberOf(secret), secretDigits)}`
  return unchecked + checksumOf(unchecked)
}

/** What a token says, or what is wrong with it. No problem holds a part of the text. */
export const parseToken = (text: string): { readonly name: string; readonly secret: Uint8Array } | Problem => {
  if (!text.startsWith(beginning)) return problem("token", `does not begin with ${beginning}`)
  const end = text.lastIndexOf("_")
  const name = text.slice(beginning.length, end)
  const written = text.slice(end + 1)
  if (end < beginning.length || nameProblem(name) !== undefined) return problem("token", "has no name in it")
  if (written.length !== secretDigits + checksumDigits) {
    return problem(
      "token",
      `is not complete: its last part has ${written.length} characters instead of ` +
        `${secretDigits + checksumDigits}`
    )
  }
  const unchecked = text.slice(0, -checksumDigits)
  if (checksumOf(unchecked) !== text.slice(-checksumDigits)) {
    return problem("token", "is mistyped: its checksum does not match")
  }
  const value = fromBase62(written.slice(0, secretDigits))
  return value === undefined ? problem("token", "has characters that no token has") : { name, secret: bytesOf(value) }
}

const numberOf = (bytes: Uint8Array): bigint => {
  let value = 0n
  for (const byte of bytes) value = value << 8n | BigInt(byte)
  return value
}

const bytesOf = (value: bigint): Uint8Array => {
  const bytes = new Uint8Array(tokenSecretBytes)
  let rest = value
  for (let at = tokenSecretBytes - 1; at >= 0; at--) {
    bytes[at] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}

const inBase62 = (value: bigint, length: number): string => {
  let text = ""
  for (let rest = value; text.length < length; rest /= base) text = digits[Number(rest % base)] + text
  return text
}

/** The number that some digits stand for; `undefined` when they are none, or stand for more than a secret has. */
const fromBase62 = (text: string): bigint | undefined => {
  let value = 0n
  for (const character of text) {
    const digit = digits.indexOf(character)
    if (digit < 0) return undefined
    value = value * base + BigInt(digit)
  }
  return value >> BigInt(8 * tokenSecretBytes) === 0n ? value : undefined
}

const checksumOf = (text: string): string => inBase62(BigInt(crc32(text)), checksumDigits)

/** CRC-32 (ISO-HDLC) of the low byte of each character. */
const crc32 = (text: string): number => {
  let crc = 0xffffffff
  for (let at = 0; at < text.length; at++) {
    crc ^= text.charCodeAt(at) & 0xff
    for (let bit = 0; bit < 8; bit++) crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}
