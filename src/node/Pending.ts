/**
 * Callers that wait: commands until they are applied, linearizable reads until their index is.
 *
 * Owned by the owner and plain synchronous data, because every committed command passes through here. A
 * command that was appended and then lost sight of (leadership or the node is gone) is answered
 * `Indeterminate`: the next leader may yet commit it, and this node cannot know.
 */
import { Deferred, Exit } from "effect"
import type { ReadError, WriteError } from "../FlareDbError.ts"
import { Indeterminate } from "../FlareDbError.ts"
import type { KeptCommand } from "../machine/StateMachine.ts"
import type { Proposal } from "../raft/Event.ts"
import type { Accepted, ReadReady } from "../raft/Output.ts"
import type { Entry, LogIndex, Term } from "../raft/Types.ts"
import type { OperationSpans } from "./OperationSpans.ts"

/** A command that was checked. */
export interface CheckedCommand extends KeptCommand {
  readonly payload: Uint8Array
}

/** The commands of one call to `propose` and the results gathered for them so far. */
export interface Submission {
  readonly commands: ReadonlyArray<CheckedCommand>
  /**
   * Of each command, at its index. A command that has its result before submission (an invalid one) is not proposed.
   */
  readonly results: Array<Uint8Array | WriteError | undefined>
  open: number
  /** Spans of the commands whose callers have one. */
  spans?: OperationSpans | undefined
  /** Called once all commands have a result. It must not throw: the owner calls it. */
  readonly done: (results: ReadonlyArray<Uint8Array | WriteError>) => void
}

/** The queries of one call to `query`, released once the state is recent enough. */
export interface ReadGroup {
  readonly count: number
  /** Succeeds when the state may be read; fails when this node cannot say that it may. */
  readonly ready: Deferred.Deferred<void, ReadError>
}

interface Waiter {
  readonly submission: Submission
  readonly commandIndex: number
  /** The term the command was appended in; another term at its index means another command. */
  readonly term: Term
}

interface ReadyReads {
  readonly index: LogIndex
  readonly groups: ReadonlyArray<ReadGroup>
}

export class Pending {
  /** Commands handed to the core in this turn, by proposal id. Empty between turns. */
  private readonly proposed = new Map<number, { readonly submission: Submission; readonly commandIndex: number }>()
  /** Commands in the log, by index. */
  private readonly appended = new Map<LogIndex, Waiter>()
  /** Reads waiting for their index, by read id. */
  private readonly reading = new Map<number, ReadonlyArray<ReadGroup>>()
  /** Reads whose index is known and not applied yet. Short: one element per finished round. */
  private ready: Array<ReadyReads> = []
  private proposalId = 0
  private readId = 0
  /** Commands admitted and not answered yet, for the limit on them. */
  waitingCommands = 0
  /** Queries admitted and not released yet, for the limit on them. */
  waitingQueries = 0

  /** Counts a submission in, from when it is put into the inbox. */
  admit(submission: Submission): void {
    this.waitingCommands += submission.open
  }

  /** Counts queries in, from when they are put into the inbox. */
  admitRead(group: ReadGroup): void {
    this.waitingQueries += group.count
  }

  /** A submission that was put into the inbox and never proposed to the core is not done. */
  reject(submission: Submission, error: WriteError): void {
    for (let commandIndex = 0; commandIndex < submission.commands.length; commandIndex++) {
      if (submission.results[commandIndex] === undefined) this.settle(submission, commandIndex, error)
    }
  }

  /** Queries that were put into the inbox and never had a turn are not answered. */
  rejectRead(group: ReadGroup, error: ReadError): void {
    this.release(group, Exit.fail(error))
  }

  private settle(submission: Submission, commandIndex: number, result: Uint8Array | WriteError): void {
    submission.results[commandIndex] = result
    submission.spans?.answered(commandIndex, result)
    submission.open -= 1
    this.waitingCommands -= 1
    if (submission.open === 0) {
      submission.done(submission.results as ReadonlyArray<Uint8Array | WriteError>)
    }
  }

  private release(group: ReadGroup, exit: Exit.Exit<void, ReadError>): void {
    this.waitingQueries -= group.count
    Deferred.doneUnsafe(group.ready, exit)
  }

  /** Turns the commands of submissions that have no result yet into proposals. */
  propose(submissions: ReadonlyArray<Submission>): ReadonlyArray<Proposal> {
    const proposals: Array<Proposal> = []
    for (const submission of submissions) {
      for (let commandIndex = 0; commandIndex < submission.commands.length; commandIndex++) {
        if (submission.results[commandIndex] !== undefined) continue
        const { decoded, payload } = submission.commands[commandIndex] as CheckedCommand
        const id = ++this.proposalId
        this.proposed.set(id, { submission, commandIndex })
        proposals.push({ id, payload, decoded })
      }
    }
    return proposals
  }

  /** The core appended these. */
  accept(accepted: Accepted): void {
    for (let i = 0; i < accepted.ids.length; i++) {
      const id = accepted.ids[i] as number
      const proposed = this.proposed.get(id)
      if (proposed === undefined) continue
      this.proposed.delete(id)
      const index = (accepted.firstIndex + i) as LogIndex
      this.appended.set(index, { ...proposed, term: accepted.term })
      proposed.submission.spans?.appended(proposed.commandIndex, index, accepted.term)
    }
  }

  /** The core did not append these. */
  refuse(ids: ReadonlyArray<number>, error: WriteError): void {
    for (const id of ids) {
      const proposed = this.proposed.get(id)
      if (proposed === undefined) continue
      this.proposed.delete(id)
      this.settle(proposed.submission, proposed.commandIndex, error)
    }
  }

  /** These entries were applied, in `tookMs` milliseconds; `replies[i]` answers `entries[i]`. */
  applied(entries: ReadonlyArray<Entry>, replies: ReadonlyArray<Uint8Array>, tookMs: number): void {
    if (this.appended.size === 0) return
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry
      const waiter = this.appended.get(entry.index)
      if (waiter === undefined) continue
      this.appended.delete(entry.index)
      if (waiter.term === entry.term) waiter.submission.spans?.applied(waiter.commandIndex, tookMs, entries.length)
      this.settle(
        waiter.submission,
        waiter.commandIndex,
        waiter.term === entry.term
          ? replies[i] as Uint8Array
          : new Indeterminate({ reason: `another leader's entry took index ${entry.index}` })
      )
    }
  }

  /**
   * The state covers everything through `index` without this node having applied it: what became of it is not known
   * here.
   */
  skipped(index: LogIndex): void {
    for (const [at, { commandIndex, submission }] of this.appended) {
      if (at > index) continue
      this.appended.delete(at)
      this.settle(submission, commandIndex, new Indeterminate({ reason: `a snapshot took the place of entry ${at}` }))
    }
  }

  /** Leadership or the node was lost: whatever is in the log may or may not be committed. */
  abandonCommands(error: WriteError): void {
    const waiters = [...this.appended.values()]
    this.appended.clear()
    for (const waiter of waiters) this.settle(waiter.submission, waiter.commandIndex, error)
    const proposed = [...this.proposed.values()]
    this.proposed.clear()
    for (const { submission, commandIndex } of proposed) this.settle(submission, commandIndex, error)
  }

  /** Gathers the reads of one turn under one id. */
  read(groups: ReadonlyArray<ReadGroup>): number {
    const id = ++this.readId
    this.reading.set(id, groups)
    return id
  }

  /** The core knows from which index on these reads may be served. */
  readReady(ready: ReadReady): void {
    const groups: Array<ReadGroup> = []
    for (const id of ready.readIds) {
      groups.push(...this.reading.get(id) ?? [])
      this.reading.delete(id)
    }
    if (groups.length > 0) this.ready.push({ index: ready.index, groups })
  }

  /** The core gave these reads up. */
  readRefused(readIds: ReadonlyArray<number>, error: ReadError): void {
    for (const id of readIds) {
      for (const group of this.reading.get(id) ?? []) this.release(group, Exit.fail(error))
      this.reading.delete(id)
    }
  }

  /** Releases the reads whose index is applied. */
  releaseReads(applied: LogIndex): void {
    if (this.ready.length === 0) return
    const waiting: Array<ReadyReads> = []
    for (const reads of this.ready) {
      if (reads.index > applied) {
        waiting.push(reads)
        continue
      }
      for (const group of reads.groups) this.release(group, Exit.void)
    }
    this.ready = waiting
  }

  /** The node stops: no read that waits will be served. */
  abandonReads(error: ReadError): void {
    this.readRefused([...this.reading.keys()], error)
    for (const { groups } of this.ready) {
      for (const group of groups) this.release(group, Exit.fail(error))
    }
    this.ready = []
  }
}
