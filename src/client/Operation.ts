/** One operation of a caller, from its call to its answer: answered exactly once, whoever is first. */
export class Operation<Failure> {
  readonly bytes: Uint8Array
  /** When it is given up, on the clock of `Clock.currentTimeMillis`. */
  readonly deadlineMs: number
  /** Whether a node may have received it since it last learned that none has. */
  sent = false
  /** The last reason why it had to be tried again, for the message when time runs out. */
  lastFailure: Failure | undefined
  private answer: ((result: Uint8Array | Failure) => void) | undefined

  constructor(bytes: Uint8Array, deadlineMs: number, answer: (result: Uint8Array | Failure) => void) {
    this.bytes = bytes
    this.deadlineMs = deadlineMs
    this.answer = answer
  }

  get settled(): boolean {
    return this.answer === undefined
  }

  /** Answers the caller, unless that was done already. */
  settle(result: Uint8Array | Failure): void {
    const { answer } = this
    this.answer = undefined
    answer?.(result)
  }

  /** The caller does not wait any more. */
  forget(): void {
    this.answer = undefined
  }
}
