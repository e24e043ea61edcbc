/**
 * Where everything lies. Numbers are u64, big-endian, so that byte order is their order; a queue's name is behind its length.
 *
 * | key                   | value                                                                 |
 * | --------------------- | --------------------------------------------------------------------- |
 * | `10 JOB`              | the job                                                               |
 * | `11 QUEUE KEY`        | its number: the key is taken                                          |
 * | `12 QUEUE RECEIPT`    | the number of the job that is held under this receipt                 |
 * | `20 QUEUE TIME JOB`   | nothing: waits, and may be taken from that time on                    |
 * | `21 QUEUE JOB`        | nothing: dead                                                         |
 * | `30 TIME JOB`         | nothing: its time runs out then, as a taken, done or dead one         |
 * | `40 QUEUE`            | how many there are                                                    |
 */
import type { RowRange } from "flaredb/machine"
import { Reader, Writer } from "flaredb/machine"
import type { Job } from "./Job.ts"

const encoder = new TextEncoder()

const named = (first: number, queue: string): Writer => new Writer(96).u8(first).short(encoder.encode(queue))

export const jobKey = (job: number): Uint8Array => new Writer(9).u8(0x10).u64(job).bytes

export const dedupeKey = (queue: string, key: string): Uint8Array => named(0x11, queue).raw(encoder.encode(key)).bytes

export const receiptKey = (queue: string, receipt: string): Uint8Array =>
  named(0x12, queue).raw(encoder.encode(receipt)).bytes

export const waitingKey = ({ atMs, id, queue }: Job): Uint8Array => named(0x20, queue).u64(atMs).u64(id).bytes

/** What may be taken at `timeMs`, the longest waiting first. */
export const readyRange = (queue: string, timeMs: number): RowRange => ({
  gte: named(0x20, queue).bytes,
  lt: named(0x20, queue).u64(timeMs + 1).bytes
})

/** What waits, now or for later. */
export const waitingRange = (queue: string): RowRange => ({
  gte: named(0x20, queue).bytes,
  lt: named(0x20, queue).u64(Number.MAX_SAFE_INTEGER).bytes
})

export const deadKey = ({ id, queue }: Job): Uint8Array => named(0x21, queue).u64(id).bytes

export const deadRange = (queue: string): RowRange => ({
  gte: named(0x21, queue).bytes,
  lt: named(0x21, queue).u64(Number.MAX_SAFE_INTEGER).bytes
})

export const timerKey = ({ atMs, id }: Job): Uint8Array => new Writer(17).u8(0x30).u64(atMs).u64(id).bytes

/** Whose time has run out at `timeMs`. */
export const dueRange = (timeMs: number): RowRange => ({
  gte: Uint8Array.of(0x30),
  lt: new Writer(9).u8(0x30).u64(timeMs + 1).bytes
})

export const statsKey = (queue: string): Uint8Array => named(0x40, queue).bytes

/** The job at the end of a key of an index. */
export const jobOf = (key: Uint8Array): number => new Reader(key.subarray(-8)).u64()

/** The time before the job at the end of a key. */
export const timeOf = (key: Uint8Array): number => new Reader(key.subarray(-16, -8)).u64()

export const encodeJobId = (job: number): Uint8Array => new Writer(8).u64(job).bytes
