/**
 * Runs a world from one seed: the source of all choices, the timeline of what is due, the plan of faults, the loop
 * over the phases of the run with its limits, the first violation, the trace, and how to run the seed again.
 *
 * A world says what its members are, what happens to them and when, and what has to hold. It plans everything that
 * happens on the timeline, and draws from the one source of choices; so a seed gives the same run, line for line. Real
 * clocks, timers and random numbers are sealed meanwhile: a run that asks for one fails (`SealedSources.ts`).
 */
import { Random } from "../Random.ts"
import type { ProbeTable } from "./Probes.ts"
import { Probes } from "./Probes.ts"
import { Timeline } from "./Timeline.ts"
import { Violation } from "./Oracle.ts"
import { sealed, unsealed } from "./SealedSources.ts"

/** Takes each line of a readable account. */
export type Trace = ((line: string) => void) | undefined

/** A part of a run. */
export interface Phase {
  readonly begin: () => void
  /** Whether what the phase waits for has come about. */
  readonly isOver: () => boolean
  /** How long it may take, in milliseconds of the timeline. */
  readonly withinMs: number
  /** Events between two looks at {@link isOver}. */
  readonly lookEvery?: number
  /** The phase is over, or its time is up. Throws when that is wrong. */
  readonly end?: () => void
}

/** What can be run from a seed. */
export interface World<Probe extends string> {
  /** The npm script that runs it. */
  readonly script: string
  /** What should happen in a campaign of it. */
  readonly probes: ProbeTable<Probe>
  /** Whether lines of its trace begin with the time. */
  readonly showsTime: boolean
  /** Makes the members, and says what the run consists of. */
  readonly make: (engine: Engine<Probe>) => ReadonlyArray<Phase>
}

export interface RunOptions<Probe extends string> {
  readonly seed: number
  readonly probes?: Probes<Probe>
  readonly trace?: Trace
  /** The faults that happen, by their number; all when it is not given. */
  readonly only?: ReadonlySet<number> | undefined
}

/** A phase with more events stands still, or goes round in circles. */
const mostEvents = 1_000_000

export class Engine<Probe extends string> {
  readonly seed: number
  readonly random: Random
  readonly timeline = new Timeline()
  readonly probes: Probes<Probe>
  readonly trace: Trace
  /** Everything that was due and happened. */
  events = 0
  /** Faults that were planned so far. */
  faults = 0
  private readonly only: ReadonlySet<number> | undefined
  /** What broke first. */
  private complaint: unknown

  constructor(world: World<Probe>, { only, probes = new Probes(world.probes), seed, trace }: RunOptions<Probe>) {
    this.seed = seed
    this.only = only
    this.random = new Random(seed)
    this.probes = probes
    const time = world.showsTime ? () => `${this.timeline.nowMs.toFixed(2).padStart(9)} ` : () => ""
    this.trace = trace && ((line) => unsealed(() => trace(time() + line)))
  }

  /**
   * A violation that is seen within a process would be taken for a failure of that node: it is kept, and ends the run.
   */
  readonly heard = <A>(look: () => A): A => {
    try {
      return look()
    } catch (error) {
      this.complaint ??= error
      throw error
    }
  }

  /** Something in this run asks for what no seed decides. */
  readonly unseeded = (source: string): never =>
    this.heard(() => {
      throw new Violation("the seed alone decides", `${source} was called`)
    })

  /** Something goes wrong now, unless this run is to do without it. */
  readonly inject = (fault: () => void): void => {
    this.faults += 1
    if (this.only === undefined || this.only.has(this.faults)) fault()
  }

  /** Lets happen what is due until the phase is over, or its time is up. */
  pass({ begin, end, isOver, lookEvery = 1, withinMs }: Phase): void {
    begin()
    if (this.complaint !== undefined) throw this.complaint
    const { timeline } = this
    const endMs = timeline.nowMs + withinMs
    for (let passed = 0; timeline.nowMs < endMs; passed++) {
      if (passed % lookEvery === 0 && isOver()) break
      if (passed > mostEvents) throw new Violation("convergence", `no end after ${mostEvents} events`)
      const happen = timeline.next()
      if (happen === undefined) throw new Violation("convergence", "nothing happens any more")
      happen()
      this.events += 1
      if (this.complaint !== undefined) throw this.complaint
    }
    end?.()
  }
}

/** A run that failed. */
export class RunFailed extends Error {
  /** What was violated, or the kind of error. */
  readonly property: string
  /** Faults until it failed. */
  readonly faults: number

  constructor(
    { script }: { readonly script: string },
    { faults, seed }: { readonly faults: number; readonly seed: number },
    cause: unknown
  ) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`seed ${seed}: ${reason}\nreplay: npm run ${script} -- --seed ${seed} --trace`, { cause })
    this.property = cause instanceof Violation ? cause.property : cause instanceof Error ? cause.name : reason
    this.faults = faults
  }
}

/** Runs one seed, and says how to run it again when it fails. */
export const simulate = <Probe extends string>(world: World<Probe>, options: RunOptions<Probe>): Engine<Probe> => {
  const engine = new Engine(world, options)
  try {
    sealed(engine.unseeded, () => {
      for (const phase of world.make(engine)) engine.pass(phase)
    })
    return engine
  } catch (error) {
    throw new RunFailed(world, engine, error)
  }
}
