/** The way in for commands: each is checked and counted before it waits for the owner's next turn. */
import { Effect, Result } from "effect"
import type { Trace } from "../protocol/Trace.ts"
import type { InvalidArgument, Unavailable, WriteError } from "../FlareDbError.ts"
import { Overloaded } from "../FlareDbError.ts"
import type { Limits } from "../config/Limits.ts"
import type { Proposer, StateMachine } from "../machine/StateMachine.ts"
import type { OwnLevel } from "../machine/OwnLevel.ts"
import type { Inbox } from "./Inbox.ts"
import type { Judgement } from "./NodeAccess.ts"
import type { NodeLife } from "./NodeLife.ts"
import type { BeginSpans } from "./OperationSpans.ts"
import { maxKeptCommandBytes, maxKeptCommands } from "./KeptCommands.ts"
import type { Refusals } from "./Refusals.ts"
import type { CheckedCommand, Pending, Submission } from "./Pending.ts"
import type { Barrier } from "./UpToDate.ts"
import { upToDate } from "./UpToDate.ts"

/** One result for each command. */
export type WriteResults = ReadonlyArray<Uint8Array | WriteError>

/** Whether this node has applied everything that was acknowledged before a call, as far as it was asked. */
type Proof = Result.Result<void, Unavailable> | undefined

export interface WritesOptions extends Barrier {
  readonly machine: StateMachine["Service"]
  readonly life: NodeLife
  readonly inbox: Inbox
  readonly pending: Pending
  readonly level: Pick<OwnLevel["Service"], "tooEarly">
  /** How far this node knows what the cluster has come to. */
  readonly judgement: () => Judgement
  readonly refusals: Pick<Refusals, "notLeader">
  readonly limits: Pick<Limits, "maxInboxEvents" | "maxPendingProposals">
  readonly spans: BeginSpans
  /** Runs what has somebody to tell its result to. */
  readonly start: (work: Effect.Effect<void>) => unknown
}

export class Writes {
  private readonly options: WritesOptions

  constructor(options: WritesOptions) {
    this.options = options
  }

  /** `done` is called once, at once or later, and must not throw. */
  proposeUnsafe(
    commands: ReadonlyArray<Uint8Array>,
    proposer: Proposer,
    done: (results: WriteResults) => void,
    traces?: ReadonlyArray<Trace>
  ): void {
    this.submit(commands, proposer, done, traces, undefined)
  }

  private submit(
    commands: ReadonlyArray<Uint8Array>,
    proposer: Proposer,
    done: (results: WriteResults) => void,
    traces: ReadonlyArray<Trace> | undefined,
    proof: Proof
  ): void {
    const { inbox, life, limits, machine, pending } = this.options
    if (life.stopped !== undefined) return done(fill(commands.length, life.stopped))
    const { waitingCommands } = pending
    const checked: Array<CheckedCommand> = []
    const results: Array<Uint8Array | WriteError | undefined> = new Array(commands.length)
    let open = 0
    for (let index = 0; index < commands.length; index++) {
      const payload = commands[index] as Uint8Array
      const command: CheckedCommand = { payload, decoded: undefined }
      const isKept = payload.byteLength <= maxKeptCommandBytes && waitingCommands + open < maxKeptCommands
      const invalid = machine.check(payload, proposer, isKept ? command : undefined)
      if (invalid === undefined) open += 1
      else {
        const refusal = this.refusalOf(payload, invalid, proof)
        if (refusal === undefined) return this.submitProven(commands, proposer, done, traces)
        results[index] = refusal
      }
      checked.push(command)
    }
    if (open === 0) return done(results as Array<WriteError>)
    const refuse = (limit: string, current: number, maximum: number) =>
      done(fill(commands.length, new Overloaded({ limit, current, maximum })))
    if (waitingCommands + open > limits.maxPendingProposals) {
      return refuse("maxPendingProposals", waitingCommands, limits.maxPendingProposals)
    }
    const submission: Submission = { commands: checked, results, open, done }
    if (!inbox.offer({ _tag: "Submit", submission })) {
      return refuse("maxInboxEvents", limits.maxInboxEvents, limits.maxInboxEvents)
    }
    pending.admit(submission)
    // The owner has not had its turn: what is offered gathers until the event loop comes round.
    submission.spans = this.options.spans("flaredb.node.write", traces)
  }

  /**
   * A command below its level is refused where that holds: a node that does not lead, or has just begun to, may not
   * have applied yet what raised the level of the cluster, and one that led may not know that another node leads now.
   * `undefined` where that takes a proof.
   */
  private refusalOf(command: Uint8Array, invalid: InvalidArgument, proof: Proof): WriteError | undefined {
    const { judgement, level, refusals } = this.options
    if (level.tooEarly(command) === undefined) return invalid
    const now = judgement()
    if (now !== "current") return now === "behind" ? refusals.notLeader(undefined) : now
    return proof === undefined ? undefined : Result.isFailure(proof) ? proof.failure : invalid
  }

  /** The same once this node knows whether it is behind. */
  private submitProven(
    commands: ReadonlyArray<Uint8Array>,
    proposer: Proposer,
    done: (results: WriteResults) => void,
    traces: ReadonlyArray<Trace> | undefined
  ): void {
    this.options.start(Effect.map(
      Effect.result(upToDate(this.options, "the feature level of the cluster")),
      (proof) => this.submit(commands, proposer, done, traces, proof)
    ))
  }

  propose(commands: ReadonlyArray<Uint8Array>, proposer: Proposer): Effect.Effect<WriteResults> {
    return Effect.callback((resume) =>
      this.proposeUnsafe(commands, proposer, (results) => resume(Effect.succeed(results)))
    )
  }
}

/** The same result for each of so many. */
export const fill = <A>(length: number, value: A): Array<A> => new Array<A>(length).fill(value)
