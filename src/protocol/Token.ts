/**
 * What a caller without a certificate shows: `fdb_NAME_SECRET`.
 *
 * The secret is 256 random bits as 43 digits of base 62. A CRC-32 of all before it follows as 6 digits, so that a token
 * that is mistyped or cut off is known as such, and scanners of source code tell tokens from other text. It is no proof
 * of anything. The cluster keeps the SHA-256 of the 32 bytes: they are random, so a slow hash would add nothing.
 */
import { Redacted } from "effect"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"

/** Bytes of a secret. */
export const tokenSecretBytes = 32

const secretDigits = 43
const checksumDigits = 6

/** Most characters of a token: prefix, name of up to 64 characters, secret and checksum. */
export const maxTokenCharacters = 4 + 64 + 1 + secretDigits + checksumDigits

const shape = /^fdb_([A-Za-z0-9._-]{1,64})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const digitsOf = (value: bigint, digits: number): string => {
  let text = ""
  for (let rest = value; text.length < digits; rest /= 62n) text = (alphabet[Number(rest % 62n)] as string) + text
  return text
}

const valueOf = (digits: string): bigint => {
  let value = 0n
  for (const digit of digits) value = value * 62n + BigInt(alphabet.indexOf(digit))
  return value
}

const checksumOf = (text: string): string => digitsOf(BigInt(crc32(text)), checksumDigits)

/** The SHA-256 of a secret, which the cluster keeps. */
export const hashSecret = (secret: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(secret).digest())

/** The token of a caller `name`, from {@link tokenSecretBytes} random bytes. */
export const formatToken = (name: string, secret: Uint8Array): Redacted.Redacted => {
  const text = `fdb_${name}_${digitsOf(BigInt(`0x${Buffer.from(secret).toString("hex")}`), secretDigits)}`
  return Redacted.make(`${text}${checksumOf(text)}`, { label: "token" })
}

/** What a token says. */
export interface ParsedToken {
  readonly name: string
  readonly secretHash: Uint8Array
}

/** What is wrong with a text that is no token: nothing of the text is in it. */
export type TokenProblem = "is not of the form fdb_NAME_SECRET" | "has a wrong checksum: it is mistyped or cut off"

/** What a token says, or what is wrong with it. */
export const parseToken = (token: Redacted.Redacted): ParsedToken | TokenProblem => {
  const text = Redacted.value(token)
  const [, name, secret, checksum] = shape.exec(text) ?? []
  if (name === undefined || secret === undefined || checksum === undefined) {
    return "is not of the form fdb_NAME_SECRET"
  }
  const value = valueOf(secret)
  if (checksumOf(text.slice(0, -checksumDigits)) !== checksum || value >= 1n << 256n) {
    return "has a wrong checksum: it is mistyped or cut off"
  }
  const bytes = Buffer.from(value.toString(16).padStart(2 * tokenSecretBytes, "0"), "hex")
  return { name, secretHash: hashSecret(bytes) }
}
