/** Keys and values as callers see them. */
import { allocate } from "../bytes/Slab.ts"
import type { KeyRecord } from "../kv/model/KeyRecord.ts"
import { utf8Text } from "../bytes/Utf8.ts"

/**
 * A key or a value: bytes, or text that becomes its UTF-8 bytes. Half of a surrogate pair is no text and becomes
 * U+FFFD, so do not cut texts where pairs may be.
 */
export type Data = string | Uint8Array

const encoder = new TextEncoder()

export const bytesOf = (data: Data): Uint8Array => typeof data === "string" ? encoder.encode(data) : data

/** Characters beyond which a text has memory of its own. */
const maxSharedLength = 1_024

/**
 * The same for what is soon encoded and forgotten, as a part of a transaction is: short texts are pieces of one array,
 * because making an array takes most of the time. A caller that keeps a piece keeps all of that array.
 */
export const briefBytesOf = (data: Data): Uint8Array => {
  if (typeof data !== "string" || data.length > maxSharedLength) return bytesOf(data)
  const bytes = allocate(data.length)
  const { read, written } = encoder.encodeInto(data, bytes)
  // Otherwise some of its characters take more than a byte.
  return read === data.length && written === data.length ? bytes : bytesOf(data)
}

/** A key with its value, as it was at one revision. */
export class KeyValueEntry {
  readonly key: Uint8Array
  /** Empty when only keys were asked for. */
  readonly value: Uint8Array
  /** The revision that created the key. */
  readonly createRevision: number
  /** The revision of its last put. */
  readonly modRevision: number
  /** Puts since it was created, from 1. */
  readonly version: number
  /** The lease that the key lives as long as; 0 for none. */
  readonly lease: number

  constructor(key: Uint8Array, record: KeyRecord) {
    this.key = key
    this.value = record.value
    this.createRevision = record.createRevision
    this.modRevision = record.modRevision
    this.version = record.version
    this.lease = record.lease
  }

  /** The key as UTF-8 text. */
  get keyText(): string {
    return utf8Text(this.key)
  }

  /** The value as UTF-8 text. */
  get text(): string {
    return utf8Text(this.value)
  }
}
