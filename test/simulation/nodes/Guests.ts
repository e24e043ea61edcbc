/**
 * Callers of a simulated cluster that have to say who they are, and the administrator who gives them roles and takes
 * them away. Each call takes the way of the client port, without its sockets. Whatever was acknowledged to the
 * administrator counts for every call that is made later.
 */
import { Effect } from "effect"
import type { ReadError, WriteError } from "../../../src/FlareDbError.ts"
import type { Command } from "../../../src/kv/model/Command.ts"
import { encodeCommand } from "../../../src/kv/model/Command.ts"
import type { Query } from "../../../src/kv/model/Query.ts"
import { encodeQuery } from "../../../src/kv/model/Query.ts"
import { decodeReply } from "../../../src/kv/model/ReplyCodec.ts"
import type { Caller } from "../../../src/machine/Caller.ts"
import type { RaftNode } from "../../../src/node/RaftNode.ts"
import type { Callers } from "../../../src/server/Callers.ts"
import { guardedCommands, guardedQueries } from "../../../src/server/GuardedOperations.ts"
import { OperationGuard } from "../../../src/server/OperationGuard.ts"
import { demand } from "../engine/Oracle.ts"
import { Random } from "../Random.ts"
import type { Right } from "./AccessModel.ts"
import type { Write } from "./Answers.ts"
import { ClientLink } from "./ClientLink.ts"
import type { ClientWorld } from "./ClientWorld.ts"
import { bytes } from "./Draws.ts"
import type { Consequence } from "./Ledger.ts"
import { latin } from "./Ledger.ts"
import { checkReply } from "./ReadCheck.ts"
import type { SimNode } from "./SimNode.ts"

const users = ["u1", "u2"]
const roles = ["r1", "r2"]
const keys = ["g1", "g2", "g3"]

/** The guard of a client port whose only caller is this one. */
const guardOf = (node: RaftNode["Service"], caller: Caller): OperationGuard | undefined => {
  const { access } = node
  if (access === undefined) return undefined
  const port = { access, audit: undefined, of: () => caller, ended: () => undefined, count: ignore, refused: ignore }
  return new OperationGuard(port as unknown as Callers)
}

const ignore = (): void => {}

/** What one of them has sent, and what was acknowledged to the administrator by then. */
interface Sent {
  readonly user: string
  readonly command: Command
  readonly since: number
}

export class Guests {
  private readonly world: ClientWorld
  private readonly link: ClientLink
  /** What only these draw comes from a generator of its own. */
  private readonly random: Random
  /** The last change of roles or users that was acknowledged. */
  private acknowledged = 0
  private readonly sent = new Map<string, Sent>()
  private readonly leases: Array<number> = []
  private retired = false

  constructor(seed: number, world: ClientWorld) {
    this.world = world
    this.link = new ClientLink(world)
    this.random = new Random(seed * 6_151 + 3)
    this.soon(() => this.administer())
    for (const user of users) this.soon(() => this.call(user))
  }

  /** They do nothing more once what they do now has ended. */
  retire(): void {
    this.retired = true
  }

  private soon(act: () => void): void {
    const { pauseMs, timeline } = this.world
    timeline.after(1 + this.random.below(2 * pauseMs), () => {
      if (!this.retired) act()
    })
  }

  /** What a role or a user is put with is unique, so that the log can be searched for it. */
  private change(): Command {
    const { random } = this
    const { answers } = this.world
    const some = <A>(all: ReadonlyArray<A>): ReadonlyArray<A> => all.filter(() => random.chance(0.6))
    if (random.chance(0.5)) {
      const prefixes = (right: string) => some(keys).concat(`${right}${answers.next()}`).map(bytes)
      const role = { name: random.pick(roles), read: prefixes("r"), write: prefixes("w"), admin: false }
      return { _tag: "PutRole", role }
    }
    const name = random.pick(users)
    return random.chance(0.15)
      ? { _tag: "DeleteUser", name }
      : { _tag: "PutUser", name, roles: some(roles), maxLeases: 1_000 + answers.next(), maxSessions: 1 }
  }

  private administer(): void {
    const command = this.change()
    const write = this.world.answers.intend(
      `the administrator's ${command._tag} #${this.world.answers.next()}`,
      command
    )
    write.possible += 1
    this.link.send(write.bytes, write.name, (outcome, reply) => {
      if (outcome._tag === "Refused") write.possible -= 1
      // A removal looks like others, and says nothing of the entry that it is.
      if (outcome._tag === "Answered" && reply !== undefined && command._tag !== "DeleteUser") {
        const index = write.indices[0] ?? 0
        this.acknowledged = Math.max(this.acknowledged, index)
        this.world.probes.hit("a role was changed")
      }
      this.soon(() => this.administer())
    })
  }

  private call(user: string): void {
    const key = this.random.pick(keys)
    const kind = this.random.weighted([["read", 5], ["write", 5], ["grant", 1], [
      "lease",
      this.leases.length > 0 ? 2 : 0
    ]])
    if (kind === "read") return this.read(user, key)
    if (kind === "grant") return this.write(user, { _tag: "GrantLease", ttlMs: this.world.answers.nextTtlMs() })
    const lease = kind === "lease" ? this.random.pick(this.leases.slice(-4)) : 0
    this.write(user, { _tag: "Put", key: bytes(key), value: bytes(`v${this.world.answers.next()}`), lease })
  }

  private write(user: string, command: Command): void {
    const { answers, ledger, probes } = this.world
    const named: Command = command._tag === "GrantLease" ? { ...command, caller: user } : command
    const write = answers.intend(`${user}'s ${command._tag} #${answers.next()}`, named)
    write.possible += 1
    const since = this.acknowledged
    this.sent.set(latin(write.bytes), { user, command: named, since })
    this.link.call<ReadonlyArray<Uint8Array | WriteError>>(
      this.link.target,
      write.name,
      ({ node }) =>
        Effect.suspend(() => {
          const guard = guardOf(node, { name: user, isNode: false })
          return guard === undefined
            ? Effect.succeed([])
            : guardedCommands(guard, node, 1, [encodeCommand(command)], node.propose)
        }),
      (results) => {
        const result = results?.[0]
        if (result instanceof Uint8Array) this.answered(write, result)
        else if (result !== undefined) {
          if (isCertain(result)) {
            write.possible -= 1
            answers.plausible(write)
          }
          if (result._tag === "Unauthorized" && command._tag === "Put" && command.lease === 0) {
            probes.hit("a caller was refused")
            this.refused(write.name, user, "write", latin(command.key), since, ledger.lastIndex)
          } else this.link.follow(result)
        }
        this.soon(() => this.call(user))
      }
    )
  }

  private answered(write: Write, bytes: Uint8Array): void {
    const reply = decodeReply(bytes)
    if (reply._tag === "LeaseReply") this.leases.push(reply.lease)
    if (reply._tag === "PutReply") this.world.probes.hit("a caller with a role wrote")
    demand(
      write.indices.some((index) => this.world.ledger.at(index)?.reply === latin(bytes)),
      "the answer is the model's",
      () => `${write.name} got ${reply._tag}, not by entry ${write.indices}`
    )
  }

  /** An entry was committed: a command of a caller had been allowed by some table from before it. */
  committed({ index, payload }: Consequence): void {
    const sent = this.sent.get(payload)
    if (sent?.command._tag !== "Put") return
    const { command: { key, lease }, since, user } = sent
    const { access, model } = this.world.ledger
    demand(
      access.everAllowed(user, "write", latin(key), since, index - 1),
      "no caller acts without a right",
      () => `entry ${index} is a write of ${latin(key)} by ${user}, which had no right to it since entry ${since}`
    )
    // The command itself says so where a lease has ended.
    const owner = model.leases.has(lease) ? access.owners.get(lease) : user
    demand(
      owner === user,
      "no caller acts without a right",
      () => `entry ${index} of ${user} uses lease ${lease} of ${owner ?? "no caller"}`
    )
  }

  private refused(name: string, user: string, right: Right, key: string, from: number, through: number): void {
    demand(
      !this.world.ledger.access.alwaysAllowed(user, right, key, from, through),
      "no caller is refused with a right",
      () => `${name} was refused, and ${user} may ${right} ${key} since entry ${from}`
    )
  }

  private read(user: string, key: string): void {
    const { answers, ledger, nodes, probes, trace } = this.world
    const node: SimNode = this.random.chance(0.5) ? this.random.pick(nodes) : this.link.target
    const consistency = this.random.chance(0.2) ? "stale" : "linearizable"
    const query: Query = { _tag: "Get", key: bytes(key) }
    const name = `${user}'s ${consistency} read of ${key} #${answers.next()}`
    const since = this.acknowledged
    const floor = answers.revision
    this.link.call<ReadonlyArray<Uint8Array | ReadError>>(
      node,
      name,
      ({ node: raft }) =>
        Effect.suspend(() => {
          const guard = guardOf(raft, { name: user, isNode: false })
          const ask = (queries: ReadonlyArray<Uint8Array>) => raft.query(queries, consistency)
          return guard === undefined ? Effect.succeed([]) : guardedQueries(guard, raft, 1, [encodeQuery(query)], ask)
        }),
      (results) => {
        const result = results?.[0]
        if (result instanceof Uint8Array) {
          const reply = decodeReply(result)
          if (reply._tag === "Problem") throw new Error(`the reply to ${name}: ${reply.problem}`)
          probes.hit("a caller with a role read")
          demand(
            ledger.access.everAllowed(user, "read", key, consistency === "stale" ? 0 : since, ledger.lastIndex),
            "no caller acts without a right",
            () => `${name} at n${node.id} was answered, and ${user} has had no right to it since entry ${since}`
          )
          demand(
            consistency === "stale" || reply.revision >= floor,
            "linearizable reads",
            () => `${name} at n${node.id} sees revision ${reply.revision}, ${floor} was answered before`
          )
          checkReply(ledger, name, query, reply)
        } else if (result !== undefined) {
          trace?.(`${name} at n${node.id}: ${result._tag}`)
          if (result._tag === "Unauthorized") {
            probes.hit("a caller was refused")
            this.refused(name, user, "read", key, since, ledger.lastIndex)
          } else this.link.follow(result)
        }
        this.soon(() => this.call(user))
      }
    )
  }
}

/** Whether an error says that nothing was appended, and never will be. */
const isCertain = ({ _tag }: WriteError): boolean => ["NotLeader", "Overloaded", "Unauthorized"].includes(_tag)
