/**
 * How far the wall clock of a peer is from that of this node, from questions to it: the answer was given at some time
 * between question and answer, so half of the round trip is what the difference may be off by. Nothing of
 * Raft rests on it. Dates, certificates, messages that are due and people that compare log lines do.
 */
import type { ClockDifference } from "../PeerTransport.ts"

/** Answers that are remembered: clocks run apart, so what an older one says is known less well. */
const remembered = 6

/** Both clocks of this node, in milliseconds. */
export interface LocalTime {
  readonly wallMs: number
  readonly monotonicMs: number
}

/** An answer, also against this node's monotonic clock, which is not set as wall clocks are. */
interface Answer extends ClockDifference {
  readonly aheadOfMonotonicMs: number
}

/** Whether both hold of the same two clocks: what they differ by is within what their round trips hide. */
const agree = (one: Answer, other: Answer): boolean => {
  const hiddenMs = one.uncertaintyMs + other.uncertaintyMs
  return Math.abs(one.offsetMs - other.offsetMs) <= hiddenMs &&
    Math.abs(one.aheadOfMonotonicMs - other.aheadOfMonotonicMs) <= hiddenMs
}

export class PeerClock {
  private answers: Array<Answer> = []

  /** A question asked at `asked` was answered with `peerMs`, at `answered`. */
  answered(asked: LocalTime, peerMs: number, answered: LocalTime): ClockDifference {
    const uncertaintyMs = Math.max(0, answered.monotonicMs - asked.monotonicMs) / 2
    const offsetMs = peerMs - (asked.wallMs + uncertaintyMs)
    const aheadOfMonotonicMs = peerMs - (asked.monotonicMs + uncertaintyMs)
    const answer = { offsetMs, uncertaintyMs, aheadOfMonotonicMs }
    // A clock was set since an answer that contradicts this one.
    this.answers = [...this.answers.slice(1 - remembered).filter((earlier) => agree(earlier, answer)), answer]
    return this.best as ClockDifference
  }

  /** How far the peer's clock is ahead of this node's. */
  get best(): ClockDifference | undefined {
    const { offsetMs, uncertaintyMs } = this.bestAnswer ?? {}
    return offsetMs === undefined || uncertaintyMs === undefined ? undefined : { offsetMs, uncertaintyMs }
  }

  /** What the peer's clock has reached at least, by this node's monotonic clock since it answered. */
  reachedMs(monotonicMs: number): number | undefined {
    const best = this.bestAnswer
    return best === undefined ? undefined : monotonicMs + best.aheadOfMonotonicMs - best.uncertaintyMs
  }

  /** The answer that says most: the one with the shortest round trip. */
  private get bestAnswer(): Answer | undefined {
    return this.answers.reduce<Answer | undefined>(
      (best, one) => best === undefined || one.uncertaintyMs <= best.uncertaintyMs ? one : best,
      undefined
    )
  }

  /** The connection has ended: the peer may come back on another machine. */
  forget(): void {
    this.answers = []
  }
}

/** By how many milliseconds the clocks differ at least, whatever the round trip hides. */
export const certainMs = ({ offsetMs, uncertaintyMs }: ClockDifference): number =>
  Math.max(0, Math.abs(offsetMs) - uncertaintyMs)
