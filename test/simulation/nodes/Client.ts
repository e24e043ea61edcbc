/**
 * Clients of a simulated cluster: each does one thing after the other, tries again where that is safe, and holds every
 * answer against the {@link Ledger}. What one client got bounds what all may get later: that is
 * linearizability, for the revisions give every answer its place in the one order.
 */
import type { ReadError } from "../../../src/FlareDbError.ts"
import type { Command, CommandId } from "../../../src/kv/model/Command.ts"
import { encodeCommand } from "../../../src/kv/model/Command.ts"
import { maxWholeReplyBytes, secretBytes } from "../../../src/kv/model/Limits.ts"
import { encodeQuery } from "../../../src/kv/model/Query.ts"
import type { CommandReply } from "../../../src/kv/model/Reply.ts"
import { decodeReply } from "../../../src/kv/model/ReplyCodec.ts"
import { demand } from "../engine/Oracle.ts"
import type { Write } from "./Answers.ts"
import type { Outcome } from "./ClientLink.ts"
import { ClientLink } from "./ClientLink.ts"
import type { ClientWorld } from "./ClientWorld.ts"
import { bytes, Draws } from "./Draws.ts"
import { latin } from "./Ledger.ts"
import { keyOfLevel, newestLevel } from "./Releases.ts"
import { checkReply } from "./ReadCheck.ts"

/** The secret of a client's sessions: no other client has it. */
const secretOf = (client: number): Uint8Array => new Uint8Array(secretBytes).fill(client)

interface OpenSession {
  readonly id: number
  sequence: number
  answered: number
}

/** A command of a session, with its number. */
interface Numbered {
  readonly sequence: number
  readonly write: Write
}

/** Most commands of a session that are sent in one call, and answered in any order. */
const maxBurst = 3

export class Client {
  private readonly id: number
  private readonly world: ClientWorld
  private readonly link: ClientLink
  private readonly draws: Draws
  private session: OpenSession | undefined
  /** Commands of the session that are to be sent again until they are answered. */
  private unanswered: ReadonlyArray<Numbered> = []
  private lease: number | undefined
  /** The time to live that the lease was given just now. */
  private dueMs: number | undefined
  private retired = false

  constructor(id: number, world: ClientWorld) {
    this.id = id
    this.world = world
    this.link = new ClientLink(world)
    this.draws = new Draws(world)
    this.pause()
  }

  /** Does nothing more once what it does now has ended. */
  retire(): void {
    this.retired = true
  }

  private pause(): void {
    const { brinkmanship, pauseMs, random, timeline } = this.world
    const { dueMs, lease } = this
    this.dueMs = undefined
    if (brinkmanship && lease !== undefined && dueMs !== undefined && random.chance(0.6)) {
      // The leader ends the lease at about that time: what it decides then may be out of date once it is carried out.
      timeline.after(dueMs - 40 + random.below(50), () => {
        if (!this.retired) this.renew(lease)
      })
      return
    }
    timeline.after(1 + random.below(pauseMs), () => {
      if (!this.retired) this.act()
    })
  }

  private act(): void {
    const { random } = this.world
    if (random.chance(0.1)) this.link.target = random.pick(this.world.nodes)
    if (this.unanswered.length > 0) return this.sendInSession(this.unanswered)
    switch (
      random.weighted([
        ["read", 10],
        ["put", 6],
        ["session", this.session === undefined ? 2 : 10],
        ["delete", 1],
        ["new", this.world.upgrades ? 1 : 0],
        ["transaction", 3],
        ["lease", this.lease === undefined ? 1 : 4],
        ["compact", 0.3]
      ])
    ) {
      case "read":
        return this.read()
      case "put":
        return this.write(this.named({ _tag: "Put", key: this.draws.key(), value: this.draws.value(), lease: 0 }))
      case "session":
        return this.inSession()
      case "new": {
        const level = 2 + random.below(newestLevel - 1)
        const key = keyOfLevel(level)
        const { answers, probes } = this.world
        const usable = answers.level
        const put = this.named({ _tag: "Put", key, value: this.draws.value(), lease: 0 })
        return this.attempt(put, ({ _tag }) => {
          if (_tag === "Answered") {
            answers.level = Math.max(answers.level, level)
            probes.hit("a command of a new level was carried out")
          } else if (_tag === "Invalid") {
            demand(
              level > usable,
              "levels never go back",
              () => `${put.name} of level ${level} is refused, and one of level ${usable} was carried out before`
            )
            probes.hit("a command was refused until its level")
          }
          this.pause()
        })
      }
      case "delete":
        // A compare with something unique tells this delete from any other.
        return this.write(this.named(this.draws.transact([{ _tag: "Delete", key: this.draws.key() }])))
      case "transaction":
        return this.write(this.named(this.draws.transaction()))
      case "lease":
        return this.leasing()
      case "compact": {
        const revision = Math.max(0, this.world.answers.revision - random.below(20))
        return this.world.random.chance(0.5) && revision > 0
          ? this.writeAnonymous({ _tag: "Compact", through: revision })
          : this.read()
      }
    }
  }

  private named(command: Command): Write {
    return this.world.answers.intend(`c${this.id}'s ${command._tag} #${this.world.answers.next()}`, command)
  }

  private leasing(): void {
    const { random } = this.world
    const { lease } = this
    if (lease === undefined) {
      // Nothing in a grant is unique but its time to live.
      const ttlMs = this.world.answers.nextTtlMs()
      return this.write(this.named({ _tag: "GrantLease", ttlMs }), (reply) => {
        if (reply._tag === "LeaseReply") this.lease = reply.lease
        this.dueMs = ttlMs
      })
    }
    if (this.world.brinkmanship) return this.renew(lease)
    if (random.chance(0.1)) {
      this.lease = undefined
      return this.pause()
    }
    if (random.chance(0.1)) return this.writeAnonymous({ _tag: "RevokeLease", lease })
    if (random.chance(0.5)) return this.renew(lease)
    const put: Command = { _tag: "Put", key: bytes(`l${random.below(4)}`), value: this.draws.value(), lease }
    this.write(this.named(put), (reply) => this.renewed(reply))
  }

  private renew(lease: number): void {
    this.writeAnonymous({ _tag: "KeepAlive", lease }, (reply) => this.renewed(reply))
  }

  private renewed(reply: CommandReply): void {
    if (reply._tag === "RefusedReply") this.lease = undefined
    else if (reply._tag === "LeaseReply") this.dueMs = reply.ttlMs
  }

  private inSession(): void {
    const { answers, random } = this.world
    const { session } = this
    if (session === undefined) {
      const ttlMs = answers.nextTtlMs()
      return this.write(
        this.named({ _tag: "OpenSession", ttlMs, secret: secretOf(this.id), owner: `c${this.id}` }),
        (reply) => {
          if (reply._tag === "SessionReply") this.session = { id: reply.session, sequence: 0, answered: 0 }
        }
      )
    }
    const count = random.chance(0.3) ? 2 + random.below(maxBurst - 1) : 1
    if (count > 1) this.world.probes.hit("commands of a session were sent together")
    this.sendInSession(Array.from({ length: count }, () => this.numbered(session, count === 1)))
  }

  /** A command with the next number of the session. */
  private numbered(session: OpenSession, mayClose: boolean): Numbered {
    const { answers, random } = this.world
    session.sequence += 1
    const { answered, id, sequence } = session
    const commandId: CommandId = { session: id, sequence, answered, secret: secretOf(this.id) }
    const command: Command = mayClose && random.chance(0.05)
      ? { _tag: "CloseSession" }
      : random.chance(0.3)
      ? this.draws.transaction()
      : { _tag: "Put", key: this.draws.key(), value: this.draws.value(), lease: 0 }
    if (command._tag === "CloseSession") this.session = undefined
    const name = `c${this.id}'s ${command._tag} ${id}/${sequence}`
    return { sequence, write: answers.intend(name, command, commandId) }
  }

  /** Sends them until they are answered: that is what sessions are for. Those that are left go in another order. */
  private sendInSession(commands: ReadonlyArray<Numbered>): void {
    const { probes, random } = this.world
    if (commands.some(({ write }) => write.possible > 0)) probes.hit("a session's command was repeated")
    this.unanswered = commands
    this.attemptAll(commands.map(({ write }) => write), (outcomes) => {
      const left = commands.filter((_, at) => outcomes[at]?._tag !== "Answered").toReversed()
      const answered = commands.filter((_, at) => outcomes[at]?._tag === "Answered")
      if (outcomes.some((outcome) => outcome._tag === "Answered" && outcome.reply._tag === "DigestReply")) {
        probes.hit("a large answer was repeated as a digest")
      }
      if (answered.some(({ write }) => write.indices.length > 1)) probes.hit("a session's reply was replayed")
      if (outcomes.some((outcome) => outcome._tag === "Answered" && isExpired(outcome.reply))) this.session = undefined
      // An answer may be lost, and then the client asks again; large ones are worth it more often.
      else if (answered.length > 0 && random.chance(answered.some(({ write }) => this.isLarge(write)) ? 0.6 : 0.1)) {
        left.push(random.pick(answered))
      }
      this.unanswered = left
      const { session } = this
      if (session !== undefined) {
        session.answered = Math.min(session.sequence + 1, ...left.map(({ sequence }) => sequence)) - 1
      }
      this.pause()
    })
  }

  /** Whether the answer to a write is too large to be kept. */
  private isLarge({ indices }: Write): boolean {
    return indices.some((index) => (this.world.ledger.at(index)?.reply?.length ?? 0) > maxWholeReplyBytes)
  }

  private write(write: Write, answered: (reply: CommandReply) => void = () => {}): void {
    this.attempt(write, (outcome) => {
      if (outcome._tag === "Answered") answered(outcome.reply)
      else if (outcome._tag === "Unknown") write.unknown = true
      this.pause()
    })
  }

  /** A command that looks like others: only its answer is held against the ledger, by the revision. */
  private writeAnonymous(command: Command, answered: (reply: CommandReply) => void = () => {}): void {
    this.link.send(encodeCommand(command), `c${this.id}'s ${command._tag}`, (outcome) => {
      if (outcome._tag === "Answered") answered(outcome.reply)
      this.pause()
    })
  }

  private attempt(write: Write, done: (outcome: Outcome) => void): void {
    this.attemptAll([write], ([outcome]) => done(outcome as Outcome))
  }

  /** Sends writes in one call, and holds each answer against the ledger. */
  private attemptAll(writes: ReadonlyArray<Write>, done: (outcomes: ReadonlyArray<Outcome>) => void): void {
    for (const write of writes) write.possible += 1
    this.link.sendAll(writes, (answers) => {
      done(answers.map(([outcome, reply], at) => {
        this.hears(writes[at] as Write, outcome, reply)
        return outcome
      }))
    })
  }

  private hears(write: Write, outcome: Outcome, reply: Uint8Array | undefined): void {
    const { answers, ledger, probes } = this.world
    if (outcome._tag === "Refused" || outcome._tag === "Invalid") {
      write.possible -= 1
      answers.plausible(write)
    } else if (outcome._tag === "Answered" && reply !== undefined) {
      const text = latin(reply)
      const index = write.indices.find((at) => ledger.at(at)?.reply === text)
      demand(
        index !== undefined,
        "the answer is the model's",
        () => `${write.name} got ${outcome.reply._tag} at ${outcome.reply.revision}, not by entry ${write.indices}`
      )
      answers.index = Math.max(answers.index, index)
      answers.revision = Math.max(answers.revision, ledger.at(index)?.revision ?? 0)
      answers.acknowledged += 1
      probes.hit("a write was acknowledged")
      const { reply: said } = outcome
      if (said._tag === "TransactionReply" && !said.succeeded) probes.hit("a transaction's compares failed")
    }
  }

  private read(): void {
    const { answers, ledger, probes, random } = this.world
    const node = random.chance(0.3) ? random.pick(this.world.nodes) : this.link.target
    const consistency = random.chance(0.2) ? "stale" : "linearizable"
    const query = this.draws.query()
    const floor = answers.revision
    const shown = node.shownRevision
    const name = `c${this.id}'s ${consistency} ${query._tag} #${answers.next()}`
    this.link.call<ReadonlyArray<Uint8Array | ReadError>>(
      node,
      name,
      (running) => running.node.query([encodeQuery(query)], consistency),
      (results) => {
        const result = results?.[0]
        if (result === undefined || !(result instanceof Uint8Array)) {
          if (result !== undefined) {
            probes.hit("a read was refused")
            this.link.follow(result)
          }
          this.world.trace?.(`${name} at n${node.id}: ${result?._tag ?? "no answer"}`)
          return this.pause()
        }
        const reply = decodeReply(result)
        if (reply._tag === "Problem") throw new Error(`the reply to ${name}: ${reply.problem}`)
        this.world.trace?.(`${name} at n${node.id}: revision ${reply.revision}`)
        demand(
          consistency === "stale" || reply.revision >= floor,
          "linearizable reads",
          () => `${name} at n${node.id} sees revision ${reply.revision}, ${floor} was answered before`
        )
        demand(
          reply.revision <= ledger.revision,
          "linearizable reads",
          () => `${name} at n${node.id} sees revision ${reply.revision}, only ${ledger.revision} is committed`
        )
        checkReply(ledger, name, query, reply)
        if (consistency === "stale") node.sawStale(reply.revision, shown)
        if (reply.revision < floor) probes.hit("a stale read was behind")
        if (consistency === "linearizable") {
          probes.hit(node.raft?.role === "leader" ? "a leader served a read" : "a follower served a read")
        }
        answers.revision = Math.max(answers.revision, reply.revision)
        answers.index = Math.max(answers.index, ledger.indexOf(reply.revision))
        answers.served += 1
        this.pause()
      }
    )
  }
}

const isExpired = (reply: CommandReply): boolean => reply._tag === "RefusedReply" && reply.reason === "session-expired"
