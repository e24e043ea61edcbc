/** One operation of a caller, from its call to its answer: answered exactly once, by whichever comes first. */
import type { Tracer } from "effect"
import type { Limited } from "./Deadlines.ts"
import { noBytes } from "../../bytes/Binary.ts"

/**
 * What is known of an operation.
 *
 * - `waiting`: no node has carried it out. Either it was not sent, or all that it met was refused.
 * - `sent`: an attempt is under way, and no earlier one leaves it open whether a node carried it out.
 * - `ambiguous`: an attempt ended without a definite answer. No later refusal takes that back.
 * - `settled`: its caller has an answer, or does not wait any more.
 */
export type Fate = "waiting" | "sent" | "ambiguous" | "settled"

/** The number of an operation in a session. */
export interface Place {
  readonly session: number
  readonly sequence: number
}

/** Where operations come from. */
export interface Submitter<Failure> {
  /** What an operation is answered whose time is over. */
  readonly outOfTime: (operation: Operation<Failure>) => Failure
  /** An operation is settled. */
  readonly settled: (operation: Operation<Failure>) => void
}

export class Operation<Failure> implements Limited {
  /** What is sent; empty once it is settled, because a session remembers operations longer than their callers do. */
  bytes: Uint8Array
  /** Most bytes that its answer may have, when that may be many; 0 otherwise. */
  readonly maxAnswerBytes: number
  readonly deadlineMs: number
  /** Its place in a session, once it has one. */
  place: Place | undefined
  /** The span of its caller's wait, when the caller has one and it is sampled. */
  readonly span: Tracer.Span | undefined
  /** Whether it is to get another command id before it is sent again. */
  stale = false
  /** The last reason why it had to be tried again, for the message when time runs out. */
  lastFailure: Failure | undefined
  private known: Fate = "waiting"
  private readonly submitter: Submitter<Failure>
  private readonly answer: (result: Uint8Array | Failure) => void

  constructor(
    bytes: Uint8Array,
    maxAnswerBytes: number,
    deadlineMs: number,
    submitter: Submitter<Failure>,
    answer: (result: Uint8Array | Failure) => void,
    span?: Tracer.Span
  ) {
    this.bytes = bytes
    this.maxAnswerBytes = maxAnswerBytes
    this.deadlineMs = deadlineMs
    this.submitter = submitter
    this.answer = answer
    this.span = span
  }

  get fate(): Fate {
    return this.known
  }

  get settled(): boolean {
    return this.known === "settled"
  }

  /** Whether a node may have carried it out, because an attempt ended without a definite answer. */
  get isAmbiguous(): boolean {
    return this.known === "ambiguous"
  }

  /** It is handed to a connection. */
  send(): void {
    if (this.known === "waiting") this.known = "sent"
  }

  /** The attempt is over: no node has carried it out in that. */
  refuse(): void {
    if (this.known === "sent") this.known = "waiting"
  }

  /** The attempt ended without a definite answer. */
  markAmbiguous(): void {
    if (this.known !== "settled") this.known = "ambiguous"
  }

  /** Answers the caller, unless that was done already. */
  settle(result: Uint8Array | Failure): void {
    if (this.known === "settled") return
    this.forget()
    this.answer(result)
  }

  /** The caller does not wait any more. */
  forget(): void {
    if (this.known === "settled") return
    this.known = "settled"
    this.bytes = noBytes
    this.submitter.settled(this)
  }

  /** Its time is over. */
  expire(): void {
    if (this.known !== "settled") this.settle(this.submitter.outOfTime(this))
  }
}

/** No definite answer came to an attempt at these. */
export const markedAmbiguous = <Failure>(
  batch: ReadonlyArray<Operation<Failure>>
): ReadonlyArray<Operation<Failure>> => {
  for (const operation of batch) operation.markAmbiguous()
  return batch
}

/**
 * The bytes for each run of an effect. It may be run again, also at the same time, and what an earlier run handed over
 * may stand in a log: the first one has the bytes, and later ones have copies.
 */
export const ofEachRun = (bytes: Uint8Array): () => Uint8Array => {
  let handedOver = false
  return () => {
    if (handedOver) return new Uint8Array(bytes)
    handedOver = true
    return bytes
  }
}
