/** Warns of a peer whose clock is off, once each time that it comes to be. */
import { formatDuration } from "../../DurationText.ts"
import type { ClockDifference } from "../PeerTransport.ts"
import { certainMs } from "./PeerClock.ts"

/** A clock that was warned of is well again below this share of the limit. */
const calmShare = 0.5

/** The difference in words. */
export const clockText = (peer: number, { offsetMs, uncertaintyMs }: ClockDifference): string =>
  `the clock of node ${peer} is ${formatDuration(Math.abs(offsetMs))} ${offsetMs < 0 ? "behind" : "ahead of"} ` +
  `this node's (give or take ${formatDuration(uncertaintyMs)})`

export class ClockWatch {
  private readonly peer: number
  private readonly limitMs: number
  private warned = false

  constructor(peer: number, limitMs: number) {
    this.peer = peer
    this.limitMs = limitMs
  }

  /** What is wrong with a difference, in words. */
  problem(difference: ClockDifference): string | undefined {
    return certainMs(difference) <= this.limitMs
      ? undefined
      : `${clockText(this.peer, difference)}, more than ${formatDuration(this.limitMs)} (maxClockDifferenceMs): ` +
        "look at the time service of both machines"
  }

  /** The warning that a new difference is worth. */
  seen(difference: ClockDifference): string | undefined {
    if (certainMs(difference) < this.limitMs * calmShare) this.warned = false
    const problem = this.problem(difference)
    if (problem === undefined || this.warned) return undefined
    this.warned = true
    return problem
  }
}
