/**
 * Which commands a leader appends together. A round costs the same however few commands it carries, so what comes while
 * a round is under way waits for its end; and after that end, briefly, for the callers that were just answered:
 * those that ask again at once share one round for as long as they do.
 *
 * Nothing waits where no caller was just answered and no round is under way, so a lone caller never does. What waits,
 * waits for a bounded time.
 */
import type { Submission } from "./Pending.ts"

/** Milliseconds that commands wait for a round that is under way: most rounds of nodes beside each other take less. */
export const longestRoundMs = 5

/** Milliseconds that commands wait for callers that were just answered. */
export const longestReturnMs = 1

/**
 * Commands and bytes that wait at most. A round of so many is worth its cost, and two of them at a time take less time
 * than one of twice as many.
 */
export const maxHeldCommands = 32
export const maxHeldBytes = 64 * 1024

/** What a return of all that were expected adds to the share that is expected. */
const regained = 1 / 16

/** How much it is: enough calls are as good as enough commands, because a call may carry any number. */
interface Size {
  commands: number
  calls: number
}

const nothing: ReadonlyArray<Submission> = []

export class Gathering {
  private held: Array<Submission> = []
  private bytes = 0
  /** Of what waits. */
  private readonly waiting: Size = { commands: 0, calls: 0 }
  /** When what waits has to leave at the latest. */
  private latestMs = 0
  /** What left since the last end of a round. */
  private readonly left: Size = { commands: 0, calls: 0 }
  /** What waits when all have returned that are waited for; `undefined` when none is. */
  private expected: Size | undefined
  private returnMs = 0
  /** Commands that waited already when the last round ended, and those that it had answered. */
  private early = 0
  private answered = 0
  /** The share of the answered that is expected to return in time, learned from those that did. */
  private share = 1

  /** Whether anything waits. */
  get waits(): boolean {
    return this.held.length > 0
  }

  /** Takes what came. */
  add(submissions: ReadonlyArray<Submission>, nowMs: number): void {
    if (this.held.length === 0) this.latestMs = nowMs + longestRoundMs
    for (const submission of submissions) {
      this.held.push(submission)
      this.waiting.commands += submission.open
      this.waiting.calls += 1
      for (const { payload } of submission.commands) this.bytes += payload.byteLength
    }
  }

  /** All that left is applied and answered. */
  roundEnded(nowMs: number): void {
    const { left, share, waiting } = this
    this.early = waiting.commands
    this.answered = left.commands
    this.returnMs = nowMs + longestReturnMs
    this.expected = left.calls === 0 ? undefined : {
      commands: waiting.commands + Math.floor(share * left.commands),
      calls: waiting.calls + Math.floor(share * left.calls)
    }
    clear(left)
  }

  /** What is to be appended now; nothing while it is better to wait. `underWay` tells whether a round is. */
  take(underWay: boolean, nowMs: number): ReadonlyArray<Submission> {
    if (this.held.length === 0) return nothing
    const enough = this.waiting.commands >= maxHeldCommands || this.bytes >= maxHeldBytes
    if (!enough && nowMs < this.latestMs && (underWay || this.returning(nowMs))) return nothing
    this.left.commands += this.waiting.commands
    this.left.calls += this.waiting.calls
    return this.empty()
  }

  /** All that waits, where nothing is appended: no caller is waited for afterwards. */
  takeAll(): ReadonlyArray<Submission> {
    clear(this.left)
    return this.empty()
  }

  /** Milliseconds after which it has to be asked again at the latest; `undefined` while nothing waits. */
  dueMs(underWay: boolean, nowMs: number): number | undefined {
    if (this.held.length === 0) return undefined
    const dueMs = underWay || this.expected === undefined ? this.latestMs : Math.min(this.latestMs, this.returnMs)
    return Math.max(0, dueMs - nowMs)
  }

  private empty(): ReadonlyArray<Submission> {
    const { held } = this
    this.held = []
    this.bytes = 0
    this.expected = undefined
    clear(this.waiting)
    return held
  }

  /** Whether callers are waited for that were just answered. Learns how many return when they did or time is up. */
  private returning(nowMs: number): boolean {
    const { answered, early, expected, share, waiting } = this
    if (expected === undefined) return false
    if (waiting.commands >= expected.commands || waiting.calls >= expected.calls) {
      this.share = Math.min(1, share + regained)
      return false
    }
    if (nowMs < this.returnMs) return true
    this.share = (waiting.commands - early) / answered
    return false
  }
}

const clear = (size: Size): void => {
  size.commands = 0
  size.calls = 0
}
