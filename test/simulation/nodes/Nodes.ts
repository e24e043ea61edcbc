/**
 * A cluster of whole nodes: the driver, the state machine and the stores are those of production, on a
 * simulated network, disk and clock. Faults and clients for a while, then quiet, in which all must agree and serve.
 */
import { Effect } from "effect"
import type { FlareDbConfig } from "../../../src/config/FlareDbConfig.ts"
import * as Config from "../../../src/config/index.ts"
import type { Event } from "../../../src/raft/Event.ts"
import type { Output } from "../../../src/raft/Output.ts"
import type { Raft } from "../../../src/raft/Raft.ts"
import type { Entry, NodeId } from "../../../src/raft/Types.ts"
import type { Engine, Phase, World } from "../engine/Engine.ts"
import { demand, Oracle } from "../engine/Oracle.ts"
import { Steps } from "../engine/Steps.ts"
import { TermFlips } from "../engine/TermFlips.ts"
import { Answers } from "./Answers.ts"
import { Client } from "./Client.ts"
import type { ClientWorld } from "./ClientWorld.ts"
import { Faults } from "./Faults.ts"
import { Guests } from "./Guests.ts"
import { LevelCheck } from "./LevelCheck.ts"
import { Ledger } from "./Ledger.ts"
import type { Probe } from "./Probes.ts"
import { probes } from "./Probes.ts"
import { drawRates } from "./Rates.ts"
import { SimNetwork } from "./SimNetwork.ts"
import type { NodeWatcher } from "./NodeWorld.ts"
import { SimNode } from "./SimNode.ts"
import { Watcher } from "./Watcher.ts"

/**
 * The faults last until this much has happened and this much time has passed, but no longer than that, in milliseconds.
 */
const roughEvents = 2_000
const roughMsMin = 2_400
const roughMsMax = 8_000

/** How long the cluster may take to be well again, in milliseconds. */
const calmMs = 6_000

/** Events between two looks at how far the cluster is. */
const lookEvery = 32

/** The clocks of two machines differ by this share at most. */
const maxDrift = 0.01

export const nodes: World<Probe> = {
  script: "simulate",
  probes,
  showsTime: true,
  make: (engine) => new Nodes(engine).phases
}

class Nodes {
  private readonly engine: Engine<Probe>
  private readonly network: SimNetwork
  private readonly nodes: Array<SimNode> = []
  private readonly oracle: Oracle
  private readonly steps: Steps
  private readonly ledger = new Ledger()
  private readonly answers = new Answers()
  private readonly faults: Faults
  private readonly levels: LevelCheck
  private readonly clients: Array<Client> = []
  private readonly watchers: Array<Watcher> = []
  private readonly guests: Guests | undefined
  /** When the faults ended, and what was acknowledged until then. */
  private calmFromMs = 0
  private served = 0
  /** When an entry was first written anywhere, by `index/term`. */
  private readonly appendedMs = new Map<string, number>()
  /** When the entry that last gave a lease its time was written, and the term it was written in. */
  private readonly renewals = new Map<number, { readonly atMs: number; readonly term: number }>()

  constructor(engine: Engine<Probe>) {
    this.engine = engine
    const { probes, random, seed, timeline, trace } = engine
    const rates = drawRates(random)
    const flips = new TermFlips(seed)
    const network = new SimNetwork(random, timeline, rates.network, flips)
    this.network = network
    this.oracle = new Oracle(this.nodes, flips, { repeats: true })
    this.steps = new Steps(this.oracle, probes, trace)
    const all = { random, timeline, network, nodes: this.nodes, probes, trace }
    this.levels = new LevelCheck(this.nodes, this.ledger, probes)
    this.faults = new Faults({ ...all, rates, inject: engine.inject })
    const world = {
      random,
      timeline,
      network,
      watcher: this.watcher(),
      health: (id: NodeId) => this.faults.disks.healthOf(id)
    }
    const ids = seed % 10 === 0 ? [1] : [1, 2, 3]
    for (const id of ids) {
      // No operator has set the clocks of these machines.
      const wallOffsetMs = 1_700_000_000_000 + random.pick([0, 0, 3_600_000, -3_600_000, random.below(1_000)])
      const rate = 1 + (random.next() * 2 - 1) * maxDrift
      this.nodes.push(new SimNode(configOf(id, ids, rates.limits), world, { wallOffsetMs, rate }))
    }
    const { answers, ledger } = this
    const clientWorld: ClientWorld = {
      ...all,
      ledger,
      answers,
      pauseMs: rates.pauseMs,
      brinkmanship: rates.brinkmanship,
      large: rates.large,
      largeBytes: rates.largeBytes,
      upgrades: rates.upgrades
    }
    for (let id = 1; id <= rates.clients; id++) this.clients.push(new Client(id, clientWorld))
    this.guests = rates.guests ? new Guests(seed, clientWorld) : undefined
    for (let id = 1; id <= 2; id++) this.watchers.push(new Watcher(id, seed, clientWorld))
  }

  /** Rough, then well again, then nothing is asked any more and everybody agrees. */
  get phases(): ReadonlyArray<Phase> {
    const { answers, engine, faults } = this
    const { timeline } = engine
    return [
      {
        begin: () => {
          for (const node of this.nodes) node.start()
          faults.begin()
        },
        isOver: () => engine.events >= roughEvents && timeline.nowMs >= roughMsMin,
        withinMs: roughMsMax,
        lookEvery
      },
      {
        begin: () => {
          engine.trace?.("the faults end")
          faults.end()
          this.calmFromMs = timeline.nowMs
          this.served = answers.acknowledged
        },
        isOver: () => this.isWell() && answers.acknowledged > this.served + 2,
        withinMs: calmMs,
        lookEvery,
        end: () => {
          const ms = Math.round(timeline.nowMs - this.calmFromMs)
          demand(
            this.isWell() && answers.acknowledged > this.served,
            "convergence",
            () => `not well ${ms} ms after the faults ended:\n${this.states()}`
          )
        }
      },
      {
        begin: () => {
          for (const client of this.clients) client.retire()
          this.guests?.retire()
        },
        isOver: () => this.isSettled(),
        withinMs: calmMs,
        lookEvery,
        end: () => {
          demand(this.isSettled(), "convergence", () => `the nodes do not agree:\n${this.states()}`)
          this.conclude()
        }
      }
    ]
  }

  /** Everybody runs, votes, and follows a leader that commits. */
  private isWell(): boolean {
    const leader = this.nodes.find(({ raft }) => raft?.role === "leader")
    return leader?.raft !== undefined &&
      this.nodes.every(({ isWhole, raft, running }) =>
        running !== undefined && raft !== undefined && isWhole && raft.leader === leader.id
      )
  }

  /** Every node has applied everything, and every watcher has seen it. */
  private isSettled(): boolean {
    const last = this.ledger.lastIndex
    const level = this.ledger.levelAt(last)
    return this.isWell() && this.nodes.every(({ known }) => known === level) &&
      this.nodes.every(({ raft }) => raft?.applied === last && raft.log.lastIndex === last) &&
      this.watchers.every(({ from }) => from === this.ledger.revision + 1)
  }

  private states(): string {
    return this.nodes.map(({ disk, expectedFailure, id, raft, running }) =>
      raft === undefined
        ? `n${id} is down (${expectedFailure ?? "without a cause"}), its log ends at ${disk.lastIndex}`
        : `n${id} ${running === undefined ? "starting" : raft.role} in ${raft.term} of n${raft.leader ?? "-"}, ` +
          `${raft.membership}, applied ${raft.applied} of ${raft.commit} of ${raft.log.lastIndex}`
    ).join("\n") +
      `\nledger at ${this.ledger.lastIndex} of level ${this.ledger.levelAt(this.ledger.lastIndex)}, watches at ${
        this.watchers.map(({ from }) => from).join()
      }` +
      ` of ${this.ledger.revision + 1}`
  }

  /** At the end every node holds exactly what the model does, and that includes every write that was acknowledged. */
  private conclude(): void {
    const { model } = this.ledger
    for (const node of this.nodes) {
      const keys = node.userKeys().join()
      const known = [...model.keys.keys()].sort().join()
      demand(keys === known, "identical states", () => `n${node.id} has the keys ${keys}, the model ${known}`)
    }
    const { didNot, tookPlace } = this.answers.fates
    if (tookPlace > 0) this.engine.probes.hit("a write whose fate was unknown took place")
    if (didNot > 0) this.engine.probes.hit("a write whose fate was unknown did not take place")
  }

  private watcher(): NodeWatcher {
    const { heard, probes, trace } = this.engine
    return {
      stepped: (node, raft, event, outputs) => heard(() => this.stepped(node, raft, event, outputs)),
      sends: (node, messages) => heard(() => this.steps.sends(node, messages)),
      started: (node) =>
        heard(() => {
          trace?.(`n${node.id} is up`)
          this.levels.started(node)
          demand(
            node.unnoticed === undefined,
            "damage is never silent",
            () => `n${node.id} starts, although ${node.unnoticed}`
          )
        }),
      ended: (node, reason, ran) => heard(() => this.faults.ended(node, reason, ran)),
      applies: (node, entries) => heard(() => this.applies(node, entries)),
      applied: (node, entries, replies) =>
        heard(() => {
          for (const [at, entry] of entries.entries()) {
            this.ledger.answered(node.id, entry, replies[at] ?? new Uint8Array(0))
          }
          const last = entries[entries.length - 1]
          if (last !== undefined) this.levels.applied(node, last.index)
        }),
      snapshotFlipped: (request, taken) =>
        heard(() => {
          trace?.(`a bit of a snapshot flipped in flight to n${request.to}`)
          demand(
            !taken,
            "damage is never silent",
            () => `n${request.to} takes a chunk of a snapshot with a bit flipped`
          )
          probes.hit("a damaged snapshot was refused")
        }),
      snapshotArrives: (request) => trace?.(`n${request.to} gets a chunk of a snapshot through ${request.point.index}`),
      completes: (node, index, digest) => heard(() => this.ledger.completes(node.id, index, digest)),
      closes: (node, peer, claim) => {
        trace?.(`n${node.id} closes a connection of n${peer}: ${claim}`)
        this.network.closeFor(node.id, peer)
        if (this.faults.refuses(node, claim)) return
        if (claim.startsWith("term ")) return probes.hit("a bit flipped in a term")
        heard(() => demand(false, "no node is accused without a cause", () => `n${node.id}: n${peer}: ${claim}`))
      },
      log: trace === undefined ? undefined : (node, line) => trace(`n${node.id} logs: ${line}`)
    }
  }

  private stepped(node: SimNode, raft: Raft, event: Event, outputs: ReadonlyArray<Output>): void {
    const { probes } = this.engine
    demand(
      node.silenced === undefined,
      "a failed write stops the node",
      () => `n${node.id} was ending, and goes on after: ${node.silenced}`
    )
    this.steps.stepped(node, event, outputs)
    this.levels.stepped(node, event)
    if (raft.role === "leader" && raft.commit > raft.stable) {
      probes.hit("the leader committed before its own disk had the entry")
    }
    for (const output of outputs) this.put(output)
    if (event._tag === "Compacted") probes.hit("the log was compacted")
    if (event._tag === "SnapshotReported") {
      probes.hit(event.installed === undefined ? "a snapshot broke off" : "a snapshot was sent")
    }
    if (event._tag === "SnapshotInstalled") {
      probes.hit("a snapshot was installed")
      if (this.ledger.lastIndex > event.point.index) probes.hit("a snapshot was installed while clients wrote")
    }
  }

  private put(output: Output): void {
    const { probes, timeline } = this.engine
    switch (output._tag) {
      case "DirectoryRolledBack":
        return probes.hit("a directory that was put back was noticed")
      case "Persist":
        for (const { index, term } of output.entries) {
          const key = `${index}/${term}`
          if (!this.appendedMs.has(key)) this.appendedMs.set(key, timeline.nowMs)
        }
        return
      case "Apply":
        if (output.entries === undefined) probes.hit("committed entries were read back")
        return
      default:
        return
    }
  }

  private applies(node: SimNode, entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      this.oracle.applies(node, entry)
      const consequence = this.ledger.commits(node.id, entry)
      if (consequence === undefined) continue
      this.answers.committed(consequence)
      this.guests?.committed(consequence)
      const { endedSessions, expiredLeases, decoded } = consequence
      if (endedSessions > 0) this.engine.probes.hit("a session ended")
      const command = decoded?.command
      const appendedMs = this.appendedMs.get(`${entry.index}/${entry.term}`) ?? this.engine.timeline.nowMs
      const renews = command?._tag === "GrantLease"
        ? entry.index
        : command?._tag === "KeepAlive"
        ? command.lease
        : undefined
      if (renews !== undefined) this.renewals.set(renews, { atMs: appendedMs, term: entry.term })
      for (const { lease, ttlMs } of expiredLeases) this.expires(entry, lease, ttlMs)
    }
  }

  /** A lease may end late and never early: its time is real time, whatever anybody's clock shows. */
  private expires(entry: Entry, lease: number, ttlMs: number): void {
    const renewal = this.renewals.get(lease)
    if (renewal === undefined) return
    this.engine.probes.hit("a lease expired")
    if (renewal.term !== entry.term) this.engine.probes.hit("a lease expired after a leader change")
    const endedMs = this.appendedMs.get(`${entry.index}/${entry.term}`) ?? this.engine.timeline.nowMs
    const passedMs = endedMs - renewal.atMs
    demand(
      passedMs * (1 + 2 * maxDrift) + 2 >= ttlMs,
      "a lease keeps its time",
      () => `lease ${lease} of ${ttlMs} ms was ended by entry ${entry.index} after ${passedMs.toFixed(1)} ms`
    )
  }
}

const configOf = (id: number, ids: ReadonlyArray<number>, limits: Partial<Config.Limits>): FlareDbConfig =>
  Effect.runSync(Config.make({
    nodeId: id,
    clusterId: "simulation",
    nodes: Config.localNodes.filter((node) => ids.includes(node.id)),
    heartbeatMs: 50,
    electionTimeoutMinMs: 150,
    electionTimeoutMaxMs: 300,
    limits
  }))
