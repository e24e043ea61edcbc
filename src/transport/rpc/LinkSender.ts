/**
 * Sends what gathers in an outbox over one connection, and asks now and then whether the other side is there. Plain
 * calls: a node at rest sends ten heartbeats a second, and a fiber and timers for each would be most of what they cost.
 *
 * What is sent in one go of the program leaves as one batch. While the other side does not read, messages stay in the
 * outbox, which is bounded.
 */
import { Cause, Data, Exit } from "effect"
import type { Message } from "../../raft/Message.ts"
import type { Outbox } from "./Outbox.ts"

export class CallTimeout extends Data.TaggedError("CallTimeout")<{ readonly ms: number }> {
  override get message() {
    return `no answer within ${this.ms} ms`
  }
}

export interface SenderLimits {
  /** Bytes in one call. */
  readonly maxBatchBytes: number
  /**
   * Milliseconds between two questions, asked behind a batch and one at a time. The answer tells that the peer is
   * there and has read what was sent before; what was in the batches is answered by what Raft itself answers.
   */
  readonly askMs: number
  /** Milliseconds without an answer, or without the peer's reading, after which a connection is given up. */
  readonly callTimeoutMs: number
}

/** `Failure` is how a question may fail. */
export interface LinkSenderOptions<Failure> {
  readonly limits: SenderLimits
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number
  /**
   * Sends a batch and answers whether more may be sent. Where it may not, `onTaken` is called once the other side has
   * read on, or the connection has ended.
   */
  readonly deliver: (messages: ReadonlyArray<Message>, onTaken: () => void) => boolean
  /** Asks for an answer behind what was sent. `done` is called once, or never when the connection ends. */
  readonly ask: (done: (exit: Exit.Exit<void, Failure>) => void) => void
  /** Told how many milliseconds an answer took. */
  readonly onAnswer: (ms: number) => void
  /** Told why the connection is of no use any more. */
  readonly onFailed: (cause: Cause.Cause<Failure | CallTimeout>) => void
}

export class LinkSender<Failure> {
  private readonly outbox: Outbox
  private readonly options: LinkSenderOptions<Failure>
  private stopped = false
  private scheduled = false
  /** Since when the other side does not read what is sent. */
  private stuckMs: number | undefined
  /** When the question was asked that has no answer yet. */
  private askingMs: number | undefined
  private askedMs = -Infinity

  constructor(outbox: Outbox, options: LinkSenderOptions<Failure>) {
    this.outbox = outbox
    this.options = options
    outbox.onMessage = () => this.schedule()
    if (outbox.size > 0) this.schedule()
  }

  /** Sends nothing any more, and reports nothing. */
  stop(): void {
    this.stopped = true
    this.outbox.onMessage = () => undefined
  }

  /** Sends what waits now. */
  flush(): void {
    if (this.scheduled) this.proceed()
  }

  /** Gives the connection up when the other side has not answered, or not read, for too long. */
  look(): void {
    if (!this.stopped) this.isLate(this.options.monotonicMs())
  }

  private schedule(): void {
    if (this.scheduled || this.stuckMs !== undefined) return
    this.scheduled = true
    process.nextTick(this.proceed)
  }

  private readonly proceed = (): void => {
    this.scheduled = false
    const { limits, monotonicMs } = this.options
    while (!this.stopped && this.stuckMs === undefined && this.outbox.size > 0) {
      const nowMs = monotonicMs()
      if (this.isLate(nowMs)) return
      if (!this.deliver(this.outbox.take(limits.maxBatchBytes))) this.stuckMs = nowMs
      else if (this.askingMs === undefined && nowMs - this.askedMs >= limits.askMs) this.ask(nowMs)
    }
  }

  /** A bug in it ends the connection and not the process, as one in a handler does. */
  private deliver(messages: ReadonlyArray<Message>): boolean {
    try {
      return this.options.deliver(messages, this.taken)
    } catch (defect) {
      this.fail(Cause.die(defect))
      return true
    }
  }

  private readonly taken = (): void => {
    this.stuckMs = undefined
    this.proceed()
  }

  private ask(nowMs: number): void {
    this.askingMs = nowMs
    this.askedMs = nowMs
    this.options.ask((exit) => {
      if (this.stopped) return
      this.askingMs = undefined
      if (Exit.isSuccess(exit)) this.options.onAnswer(this.options.monotonicMs() - nowMs)
      else this.fail(exit.cause)
    })
  }

  private isLate(nowMs: number): boolean {
    const { callTimeoutMs } = this.options.limits
    const sinceMs = Math.min(this.stuckMs ?? Infinity, this.askingMs ?? Infinity)
    if (nowMs - sinceMs <= callTimeoutMs) return false
    this.fail(Cause.fail(new CallTimeout({ ms: callTimeoutMs })))
    return true
  }

  private fail(cause: Cause.Cause<Failure | CallTimeout>): void {
    this.stop()
    this.options.onFailed(cause)
  }
}
