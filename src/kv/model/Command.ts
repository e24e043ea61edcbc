/**
 * What changes the state, as it stands in the log.
 *
 * ```
 * version u8 (3) · tag u8 · session u64 · sequence u64 · answered u64 · secret 16 bytes · body
 *   Put             lease u64 · key u16+ · value, to the end
 *   Delete          key u16+
 *   Transact        as in Transaction.ts
 *   GrantLease      ttl u64 · caller, to the end
 *   KeepAlive       lease u64
 *   RevokeLease     lease u64
 *   Compact         last revision to forget u64
 *   OpenSession     ttl u64 · secret 16 bytes · owner u16+ · caller, to the end
 *   CloseSession
 *   Expire          count u32 · leases u64 … · count u32 · sessions u64 …
 *   Checkpoint      token u64, or nothing
 *   EndSession      session u64
 *   PutRole …       as in access/AccessCommand.ts
 * ```
 *
 * A client encodes a command once; wire, log and state machine pass these bytes on. The four fields behind the tag make
 * it a command of a session (`Session.ts`); they are 0 for one without.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
import type { AccessCommand } from "./access/AccessCommand.ts"
import { accessCommandProblem, accessTags, readAccessCommand, writeAccessCommand } from "./access/AccessCommand.ts"
import type { Problem } from "./Limits.ts"
import {
  callerProblem,
  countProblem,
  keyProblem,
  ownerProblem,
  problem,
  secretBytes,
  secretProblem,
  ttlProblem,
  valueProblem
} from "./Limits.ts"
import type { Transaction } from "./Transaction.ts"
import { readTransaction, transactionProblem, transactionSizeProblem, writeTransaction } from "./Transaction.ts"

/** The version written, and the only one read. */
export const commandVersion = 3

export interface Put {
  readonly _tag: "Put"
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** The lease to attach the key to; 0 for none, which detaches it from the one it had. */
  readonly lease: number
}

export interface Delete {
  readonly _tag: "Delete"
  readonly key: Uint8Array
}

export interface Transact {
  readonly _tag: "Transact"
  readonly transaction: Transaction
}

/** Makes a lease, whose id is in the reply. It ends when it was not kept alive for its time to live. */
export interface GrantLease {
  readonly _tag: "GrantLease"
  readonly ttlMs: number
  /** Whose it is to be. Put in by the client port, whatever the client says; absent where no name is asked for. */
  readonly caller?: string
}

/** Restarts a lease's time. */
export interface KeepAlive {
  readonly _tag: "KeepAlive"
  readonly lease: number
}

/** Ends a lease and deletes the keys attached to it, in one revision. */
export interface RevokeLease {
  readonly _tag: "RevokeLease"
  readonly lease: number
}

/** Forgets history, which watches read. No key changes. */
export interface Compact {
  readonly _tag: "Compact"
  /** The last revision to forget. A watch can begin at the one behind it. */
  readonly through: number
}

/** Opens a session, whose id is in the reply. It ends when its client has sent nothing for its time to live. */
export interface OpenSession {
  readonly _tag: "OpenSession"
  readonly ttlMs: number
  /** Random, and made by the client: every command of the session carries it. */
  readonly secret: Uint8Array
  /** What the client calls itself, for operators; may be empty. */
  readonly owner: string
  /** As in {@link GrantLease}. */
  readonly caller?: string
}

/** Ends the session it is sent in, and forgets its replies. */
export interface CloseSession {
  readonly _tag: "CloseSession"
}

/** Proposed by a leader: ends those of these leases and sessions whose time has passed when it is applied. */
export interface Expire {
  readonly _tag: "Expire"
  readonly leases: ReadonlyArray<number>
  readonly sessions: ReadonlyArray<number>
}

/**
 * Changes nothing. Proposed by a leader so that the log keeps telling the time while leases wait; and by a client that
 * wants a log position that is the same on all nodes (`flaredb verify`).
 */
export interface Checkpoint {
  readonly _tag: "Checkpoint"
  /** Tells this checkpoint from others; for the client that waits for it. */
  readonly token?: number
}

/** Ends any session, as an operator does. */
export interface EndSession {
  readonly _tag: "EndSession"
  readonly session: number
}

export type Command =
  | Put
  | Delete
  | Transact
  | GrantLease
  | KeepAlive
  | RevokeLease
  | Compact
  | OpenSession
  | CloseSession
  | Expire
  | Checkpoint
  | EndSession
  | AccessCommand

/**
 * Who may propose a command: a client, or only a node by itself. A client's `Expire` would end what has not expired by
 * the clock of a leader that proved itself.
 */
export const proposers: { readonly [Tag in Command["_tag"]]: "client" | "node" } = {
  Put: "client",
  Delete: "client",
  Transact: "client",
  GrantLease: "client",
  KeepAlive: "client",
  RevokeLease: "client",
  Compact: "client",
  OpenSession: "client",
  CloseSession: "client",
  Expire: "node",
  Checkpoint: "client",
  EndSession: "client",
  PutRole: "client",
  DeleteRole: "client",
  PutUser: "client",
  DeleteUser: "client",
  AddToken: "client",
  RemoveToken: "client"
}

/** Which command of which session this is. (Raft §8, thesis §6.3) */
export interface CommandId {
  /** The session's id; 0 for none. */
  readonly session: number
  /** From 1, each used for one command. A command that is sent again keeps its number. */
  readonly sequence: number
  /** The client has the answer to every command up to here, and will not ask for one again. */
  readonly answered: number
  /** The session's secret. A command with another one is refused and changes nothing. */
  readonly secret: Uint8Array
}

const noSecret = new Uint8Array(secretBytes)

export const noSession: CommandId = { session: 0, sequence: 0, answered: 0, secret: noSecret }

/** A command and the session it belongs to. */
export interface DecodedCommand {
  readonly _tag: "Decoded"
  readonly commandId: CommandId
  readonly command: Command
}

/** 9 was used before the first version, and is not used again. A tag that is added has a level, `CommandLevel.ts`. */
export const tags = {
  Put: 1,
  Delete: 2,
  Transact: 3,
  GrantLease: 4,
  KeepAlive: 5,
  RevokeLease: 6,
  Compact: 7,
  OpenSession: 8,
  CloseSession: 10,
  Expire: 11,
  Checkpoint: 12,
  EndSession: 13,
  ...accessTags
} as const

/** Bytes before a command's body. */
export const commandHeaderBytes = 26 + secretBytes

/** What is wrong with a command's arguments, if anything. */
export const commandProblem = (command: Command): Problem | undefined => {
  switch (command._tag) {
    case "Put":
      return keyProblem(command.key.byteLength) ?? valueProblem(command.value.byteLength) ??
        countProblem(command.lease, "lease")
    case "Delete":
      return keyProblem(command.key.byteLength)
    case "Transact":
      return transactionProblem(command.transaction)
    case "GrantLease":
      return ttlProblem(command.ttlMs) ?? callerProblem(command.caller ?? "")
    case "OpenSession":
      return ttlProblem(command.ttlMs) ?? secretProblem(command.secret.byteLength) ?? ownerProblem(command.owner) ??
        callerProblem(command.caller ?? "")
    case "EndSession":
      return command.session > 0
        ? countProblem(command.session, "session")
        : problem("session", `${command.session} is no session id`)
    case "KeepAlive":
    case "RevokeLease":
      return command.lease > 0
        ? countProblem(command.lease, "lease")
        : problem("lease", `${command.lease} is no lease id`)
    case "Compact":
      return countProblem(command.through, "revision")
    case "CloseSession":
    case "Expire":
    case "Checkpoint":
      return undefined
    default:
      return accessCommandProblem(command)
  }
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const header = (command: Command, commandId: CommandId, bodyBytes: number): Writer =>
  new Writer(commandHeaderBytes + bodyBytes)
    .u8(commandVersion).u8(tags[command._tag]).u64(commandId.session).u64(commandId.sequence).u64(commandId.answered)
    .raw(commandId.secret)

/** The bytes of a command that {@link commandProblem} has nothing against. */
export const encodeCommand = (command: Command, commandId: CommandId = noSession): Uint8Array => {
  switch (command._tag) {
    case "Put":
      return header(command, commandId, 10 + command.key.byteLength + command.value.byteLength)
        .u64(command.lease).short(command.key).raw(command.value).bytes
    case "Delete":
      return header(command, commandId, 2 + command.key.byteLength).short(command.key).bytes
    case "Transact":
      return writeTransaction((bytes) => header(command, commandId, bytes), command.transaction).bytes
    case "GrantLease":
      return header(command, commandId, 8).u64(command.ttlMs).raw(text(command.caller ?? "")).bytes
    case "OpenSession":
      return header(command, commandId, 10 + secretBytes + command.owner.length)
        .u64(command.ttlMs).raw(command.secret).short(text(command.owner)).raw(text(command.caller ?? "")).bytes
    case "EndSession":
      return header(command, commandId, 8).u64(command.session).bytes
    case "KeepAlive":
    case "RevokeLease":
      return header(command, commandId, 8).u64(command.lease).bytes
    case "Compact":
      return header(command, commandId, 8).u64(command.through).bytes
    case "Expire": {
      const writer = header(command, commandId, 8 + 8 * (command.leases.length + command.sessions.length))
      for (const ids of [command.leases, command.sessions]) {
        writer.u32(ids.length)
        for (const id of ids) writer.u64(id)
      }
      return writer.bytes
    }
    case "Checkpoint":
      return command.token === undefined
        ? header(command, commandId, 0).bytes
        : header(command, commandId, 8).u64(command.token).bytes
    case "CloseSession":
      return header(command, commandId, 0).bytes
    default:
      return writeAccessCommand(header(command, commandId, 64), command).bytes
  }
}

/**
 * Makes an encoded command one of a session, in place. Only before it was handed to anybody: bytes in a log
 * must not change.
 */
export const writeCommandId = (bytes: Uint8Array, commandId: CommandId): void => {
  const { answered, secret, sequence, session } = commandId
  bytes.set(new Writer(24 + secretBytes).u64(session).u64(sequence).u64(answered).raw(secret).bytes, 2)
}

/** The command in `bytes`, whose fields are views of them, or what is wrong. */
export const decodeCommand = (bytes: Uint8Array): DecodedCommand | Problem => {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const tag = reader.u8()
  if (!reader.failed && version !== commandVersion) {
    return problem("command", `has version ${version}, and this node reads ${commandVersion}: upgrade the older side`)
  }
  const commandId = readCommandId(reader)
  if (reader.failed) return problem("command", `is cut short at ${bytes.byteLength} bytes`)
  if (tag === tags.Transact) {
    const tooLarge = transactionSizeProblem(bytes.byteLength)
    if (tooLarge !== undefined) return tooLarge
  }
  const command = readBody(tag, reader)
  if (reader.failed) return problem("command", `is cut short at ${bytes.byteLength} bytes`)
  if (command === undefined) return problem("command", `has the unknown tag ${tag}, or a part that makes no sense`)
  if (!reader.complete) return problem("command", "has bytes behind its end")
  return commandProblem(command) ?? commandIdProblem(command, commandId) ?? { _tag: "Decoded", commandId, command }
}

const readCommandId = (reader: Reader): CommandId => {
  const session = reader.u64()
  const sequence = reader.u64()
  const answered = reader.u64()
  const secret = reader.raw(secretBytes)
  // A command without a session is asked for none, and need not carry a view of its bytes.
  return { session, sequence, answered, secret: session === 0 ? noSecret : secret }
}

const commandIdProblem = (command: Command, { answered, sequence, session }: CommandId): Problem | undefined => {
  if (session === 0) {
    return command._tag === "CloseSession"
      ? problem("session", "is missing")
      : undefined
  }
  return sequence > answered ? undefined : problem("sequence", `${sequence} was already answered, as ${answered} says`)
}

const readBody = (tag: number, reader: Reader): Command | undefined => {
  switch (tag) {
    case tags.Put: {
      const lease = reader.u64()
      return { _tag: "Put", lease, key: reader.short(), value: reader.rest() }
    }
    case tags.Delete:
      return { _tag: "Delete", key: reader.short() }
    case tags.Transact: {
      const transaction = readTransaction(reader)
      return transaction === undefined ? undefined : { _tag: "Transact", transaction }
    }
    case tags.GrantLease:
      return { _tag: "GrantLease", ttlMs: reader.u64(), ...readCaller(reader) }
    case tags.KeepAlive:
      return { _tag: "KeepAlive", lease: reader.u64() }
    case tags.RevokeLease:
      return { _tag: "RevokeLease", lease: reader.u64() }
    case tags.Compact:
      return { _tag: "Compact", through: reader.u64() }
    case tags.OpenSession:
      return {
        _tag: "OpenSession",
        ttlMs: reader.u64(),
        // A copy: the session keeps it for longer than its entry is in memory.
        secret: Uint8Array.from(reader.raw(secretBytes)),
        owner: new TextDecoder().decode(reader.short()),
        ...readCaller(reader)
      }
    case tags.EndSession:
      return { _tag: "EndSession", session: reader.u64() }
    case tags.CloseSession:
      return { _tag: "CloseSession" }
    case tags.Expire: {
      const leases = readIds(reader)
      return { _tag: "Expire", leases, sessions: readIds(reader) }
    }
    case tags.Checkpoint:
      return reader.atEnd ? { _tag: "Checkpoint" } : { _tag: "Checkpoint", token: reader.u64() }
    default:
      return readAccessCommand(tag, reader)
  }
}

const readCaller = (reader: Reader): { readonly caller?: string } =>
  reader.atEnd ? {} : { caller: new TextDecoder().decode(reader.rest()) }

/** What a command makes, when it is one that outlives its connection: looks at one byte. */
export const grantOf = (bytes: Uint8Array): "lease" | "session" | undefined =>
  bytes[1] === tags.OpenSession ? "session" : bytes[1] === tags.GrantLease ? "lease" : undefined

const readIds = (reader: Reader): ReadonlyArray<number> => {
  const count = reader.u32()
  const ids: Array<number> = []
  for (let i = 0; i < count && !reader.failed; i++) ids.push(reader.u64())
  return ids
}
