/**
 * How long a node may take to answer one call before its operations are sent again. A node that is silent is to be
 * given up soon, and one that is busy with what it was sent is not: to send the same mebibytes again makes it slower.
 * So each byte that waits for an answer earns the calls time, also the bytes of a call that is late.
 */
import type { Operation } from "./Operation.ts"

/** Bytes under way that earn a call a second. Slow machines under load carry out so many. */
const bytesPerSecond = 4 * 1024 * 1024

/** Part of the time that is left to the operations of a call: another node has to have the time to answer, too. */
const patientPart = 0.5

type Sized = Pick<Operation<unknown>, "bytes" | "deadlineMs">

/** What became of a call's bytes. */
export interface UnderWay {
  /** How long the node may take, in milliseconds. */
  readonly limitMs: number
  readonly deadlineMs: number
  /** Whether it was answered or lost; to be called once. */
  readonly over: () => void
}

export class AttemptTimes {
  private readonly attemptTimeoutMs: number
  /** Of calls that have no answer. */
  private bytes = 0

  /** `attemptTimeoutMs` is what a call may take that has next to no bytes. */
  constructor(attemptTimeoutMs: number) {
    this.attemptTimeoutMs = attemptTimeoutMs
  }

  /** A call with these operations is sent. */
  sent(batch: ReadonlyArray<Sized>, nowMs: number): UnderWay {
    let bytes = 0
    let lastMs = nowMs
    for (const operation of batch) {
      bytes += operation.bytes.byteLength
      lastMs = Math.max(lastMs, operation.deadlineMs)
    }
    this.bytes += bytes
    const earnedMs = this.attemptTimeoutMs + this.bytes / bytesPerSecond * 1_000
    const longestMs = Math.max(this.attemptTimeoutMs, (lastMs - nowMs) * patientPart)
    const limitMs = Math.round(Math.min(earnedMs, longestMs))
    return {
      limitMs,
      deadlineMs: nowMs + limitMs,
      over: () => {
        this.bytes -= bytes
      }
    }
  }
}
