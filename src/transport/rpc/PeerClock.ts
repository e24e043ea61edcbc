/**
 * How far the wall clock of a peer is from that of this node, from questions to it: the answer was given at some time
 * between question and answer, so half of the round trip is what the difference may be off by. Nothing of
 * Raft rests on it. Dates, certificates, messages that are due and people that compare log lines do.
 */
import type { ClockDifference } from "../PeerTransport.ts"

/** Answers that are remembered. A clock that is set shows once this many have come. */
const remembered = 6

/** Both clocks of this node, in milliseconds. */
export interface LocalTime {
  readonly wallMs: number
  readonly monotonicMs: number
}

export class PeerClock {
  private readonly answers: Array<ClockDifference> = []

  /** A question asked at `asked` was answered with `peerMs`, at `answered`. */
  answered(asked: LocalTime, peerMs: number, answered: LocalTime): ClockDifference {
    const uncertaintyMs = Math.max(0, answered.monotonicMs - asked.monotonicMs) / 2
    this.answers.push({ offsetMs: peerMs - (asked.wallMs + uncertaintyMs), uncertaintyMs })
    if (this.answers.length > remembered) this.answers.shift()
    return this.best as ClockDifference
  }

  /** The answer that says most: the one with the shortest round trip. */
  get best(): ClockDifference | undefined {
    return this.answers.reduce<ClockDifference | undefined>(
      (best, one) => best === undefined || one.uncertaintyMs <= best.uncertaintyMs ? one : best,
      undefined
    )
  }

  /** The connection has ended: the peer may come back on another machine. */
  forget(): void {
    this.answers.length = 0
  }
}

/** By how many milliseconds the clocks differ at least, whatever the round trip hides. */
export const certainMs = ({ offsetMs, uncertaintyMs }: ClockDifference): number =>
  Math.max(0, Math.abs(offsetMs) - uncertaintyMs)
