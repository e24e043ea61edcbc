/**
 * A key's value together with its history's figures, as the state store holds it.
 *
 * ```
 * create revision u64 · mod revision u64 · version u64 · lease u64 · value, to the end
 * ```
 */
import { Reader, Writer } from "../../bytes/Binary.ts"

export interface KeyRecord {
  /** The revision that created the key. A delete ends it; the next put creates the key again. */
  readonly createRevision: number
  /** The revision of the last put. */
  readonly modRevision: number
  /** Puts since the key was created, from 1. */
  readonly version: number
  /** The lease that the key lives as long as; 0 for none. */
  readonly lease: number
  readonly value: Uint8Array
}

/** Bytes before the value. */
export const recordHeaderBytes = 32

/** Bytes of an encoded record. */
export const recordBytes = (record: KeyRecord): number => recordHeaderBytes + record.value.byteLength

/** Appends a record. */
export const writeRecord = (writer: Writer, record: KeyRecord): Writer =>
  writer
    .u64(record.createRevision)
    .u64(record.modRevision)
    .u64(record.version)
    .u64(record.lease)
    .raw(record.value)

export const encodeRecord = (record: KeyRecord): Uint8Array =>
  writeRecord(new Writer(recordBytes(record)), record).bytes

/** The record in `bytes`, or `undefined` when they are none. */
export const decodeRecord = (bytes: Uint8Array): KeyRecord | undefined => {
  const reader = new Reader(bytes)
  const createRevision = reader.u64()
  const modRevision = reader.u64()
  const version = reader.u64()
  const lease = reader.u64()
  const value = reader.rest()
  return reader.complete ? { createRevision, modRevision, version, lease, value } : undefined
}
