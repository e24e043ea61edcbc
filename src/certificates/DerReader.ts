/**
 * The two things in an authority's certificate that Node does not tell, and that certificates which it issues must
 * repeat byte by byte: its subject, and its key identifier.
 */
import { Buffer } from "node:buffer"
import type { Der } from "./Der.ts"
import { oid, tags } from "./Der.ts"

interface Element {
  readonly tag: number
  readonly content: Uint8Array
  /** With identifier and length. */
  readonly whole: Uint8Array
}

/** The values that stand one after the other in `bytes`; `undefined` when these are no such values. */
const elementsOf = (bytes: Uint8Array): ReadonlyArray<Element> | undefined => {
  const found: Array<Element> = []
  for (let at = 0; at < bytes.byteLength;) {
    const start = at
    const tag = bytes[at++] as number
    let length = bytes[at++]
    if (length === undefined || (tag & 0x1f) === 0x1f) return undefined
    if (length >= 0x80) {
      const count = length & 0x7f
      if (count === 0 || count > 4 || at + count > bytes.byteLength) return undefined
      length = 0
      for (let i = 0; i < count; i++) length = length * 256 + (bytes[at++] as number)
    }
    if (at + length > bytes.byteLength) return undefined
    found.push({ tag, content: bytes.subarray(at, at + length), whole: bytes.subarray(start, at + length) })
    at += length
  }
  return found
}

const versionTag = 0xa0
const extensionsTag = 0xa3
const subjectKeyIdentifier = oid("2.5.29.14")

const keyIdIn = (extensions: Uint8Array): Uint8Array | undefined => {
  const list = elementsOf(extensions)?.[0]
  for (const extension of list === undefined ? [] : elementsOf(list.content) ?? []) {
    const parts = elementsOf(extension.content) ?? []
    if (parts[0] === undefined || Buffer.compare(parts[0].whole, subjectKeyIdentifier) !== 0) continue
    const inner = elementsOf(parts.at(-1)?.content ?? new Uint8Array())?.[0]
    return inner?.tag === tags.octetString ? inner.content : undefined
  }
  return undefined
}

/** The subject of a certificate, encoded, and its key identifier if it has one; `undefined` when it is none. */
export const subjectOf = (
  certificate: Uint8Array
): { readonly subject: Der; readonly keyId: Uint8Array | undefined } | undefined => {
  const body = elementsOf(elementsOf(certificate)?.[0]?.content ?? new Uint8Array())?.[0]
  if (body?.tag !== tags.sequence) return undefined
  const parts = elementsOf(body.content) ?? []
  // serial, algorithm, issuer, validity, subject
  const subject = parts[parts[0]?.tag === versionTag ? 5 : 4]
  if (subject?.tag !== tags.sequence) return undefined
  const extensions = parts.find(({ tag }) => tag === extensionsTag)
  return { subject: subject.whole, keyId: extensions === undefined ? undefined : keyIdIn(extensions.content) }
}
