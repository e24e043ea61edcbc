/** The distinguished encoding rules (ITU-T X.690), as far as certificates need them: what is written. */
import { Buffer } from "node:buffer"

/** Bytes of one or several encoded values. */
export type Der = Uint8Array

/** Identifier octets. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31
} as const

const lengthOctets = (length: number): ReadonlyArray<number> => {
  if (length < 0x80) return [length]
  const octets: Array<number> = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return [0x80 | octets.length, ...octets]
}

export const value = (tag: number, content: Uint8Array): Der =>
  Buffer.concat([Uint8Array.of(tag, ...lengthOctets(content.byteLength)), content])

export const sequence = (...parts: ReadonlyArray<Der>): Der => value(tags.sequence, Buffer.concat(parts))

export const set = (...parts: ReadonlyArray<Der>): Der => value(tags.set, Buffer.concat(parts))

/** A value with a tag of the context's own: `[number]`, around other values. */
export const explicit = (number: number, ...parts: ReadonlyArray<Der>): Der =>
  value(0xa0 | number, Buffer.concat(parts))

/** A primitive value whose tag the context replaces. */
export const implicit = (number: number, content: Uint8Array): Der => value(0x80 | number, content)

/** A whole number from 0 upwards, given by its big-endian bytes. */
export const integer = (bytes: Uint8Array): Der => {
  let start = 0
  while (start < bytes.byteLength - 1 && bytes[start] === 0) start++
  const content = bytes.subarray(start)
  return value(tags.integer, (content[0] ?? 0) < 0x80 ? content : Buffer.concat([Uint8Array.of(0), content]))
}

export const boolean = (truth: boolean): Der => value(tags.boolean, Uint8Array.of(truth ? 0xff : 0))

export const octetString = (bytes: Uint8Array): Der => value(tags.octetString, bytes)

/** Whole octets, or with the last `unusedBits` bits of them unused. */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Der =>
  value(tags.bitString, Buffer.concat([Uint8Array.of(unusedBits), bytes]))

export const utf8String = (text: string): Der => value(tags.utf8String, Buffer.from(text, "utf8"))

/** An object identifier in dotted notation. */
export const oid = (dotted: string): Der => {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number)
  const octets: Array<number> = []
  for (const arc of [first * 40 + second, ...rest]) {
    const septets = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) septets.unshift(0x80 | left % 128)
    octets.push(...septets)
  }
  return value(tags.oid, Uint8Array.from(octets))
}

/** A time in whole seconds, as RFC 5280 wants it: two digits for the year before 2050, and four from then on. */
export const time = (epochMs: number): Der => {
  const digits = `${new Date(epochMs).toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`
  const isEarly = digits < "2050"
  return value(isEarly ? tags.utcTime : tags.generalizedTime, Buffer.from(isEarly ? digits.slice(2) : digits, "latin1"))
}
