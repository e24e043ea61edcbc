const noBytes = new Uint8Array(0)

/** One operation of a caller, from its call to its answer: answered exactly once, whoever is first. */
export class Operation<Failure> {
  /** What is sent; empty once it is settled, because a session remembers operations longer than their callers do. */
  bytes: Uint8Array
  /** Most bytes that its answer may have, when that may be many; 0 otherwise. */
  readonly maxAnswerBytes: number
  /** When it is given up, on the clock of `Monotonic.ts`. */
  readonly deadlineMs: number
  /** Whether a node may have received it since it last learned that none has. */
  sent = false
  /** Whether a node may have carried it out, because an attempt ended without a definite answer. */
  uncertain = false
  /** The session it is numbered in; 0 for none. */
  session = 0
  sequence = 0
  /** Whether it is to be stamped anew before it is sent again. */
  stale = false
  /** The last reason why it had to be tried again, for the message when time runs out. */
  lastFailure: Failure | undefined
  private answer: ((result: Uint8Array | Failure) => void) | undefined

  constructor(
    bytes: Uint8Array,
    maxAnswerBytes: number,
    deadlineMs: number,
    answer: (result: Uint8Array | Failure) => void
  ) {
    this.bytes = bytes
    this.maxAnswerBytes = maxAnswerBytes
    this.deadlineMs = deadlineMs
    this.answer = answer
  }

  get settled(): boolean {
    return this.answer === undefined
  }

  /** Answers the caller, unless that was done already. */
  settle(result: Uint8Array | Failure): void {
    const { answer } = this
    this.forget()
    answer?.(result)
  }

  /** The caller does not wait any more. */
  forget(): void {
    this.answer = undefined
    this.bytes = noBytes
  }
}
