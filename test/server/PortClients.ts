/** A client port with callers, and what its tests do at it. */
import type { Scope } from "effect"
import { Cause, Context, Effect, Exit, Layer, Option } from "effect"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { makeToken } from "../../src/kv/TokenSecret.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import type { CallersConfig } from "../../src/server/AdmittedCallers.ts"
import * as ClientServer from "../../src/server/ClientServer.ts"

export const host = "127.0.0.1"
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const port = (
  callers: CallersConfig,
  options: Partial<ClientServer.ClientServerOptions> = {},
  cluster: typeof FlareDb.layerMemory = FlareDb.layerMemory
) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Layer.fresh(
      ClientServer.layer({
        clusterId: "memory",
        nodeId: 1,
        listen: { host, port: 0 },
        maxOperations: 10_000,
        callers,
        ...options
      }).pipe(Layer.provideMerge(cluster))
    ))
    return { port: Context.get(context, ClientServer.ClientAddress).port, node: Context.get(context, RaftNode) }
  })

type Node = RaftNode["Service"]

/** A cluster of one whose node hears from a majority as `barrier` says. */
export const hearing = (barrier: (node: Node) => Node["readBarrier"]): typeof FlareDb.layerMemory =>
  Layer.effectContext(Effect.gen(function*() {
    const context = yield* Layer.build(FlareDb.layerMemory)
    const node = Context.get(context, RaftNode)
    return Context.add(context, RaftNode, { ...node, readBarrier: Effect.suspend(() => barrier(node)) })
  }))

/** Has a command carried out by the node itself. */
export const carryOut = (node: Node, command: Command) =>
  Effect.flatMap(
    node.propose([encodeCommand(command)]),
    ([result]) => result instanceof Uint8Array ? Effect.succeed(result) : Effect.die(result)
  )

/** A token of `name`, as an administrator would add it. */
export const tokenOf = (node: Node, name: string) =>
  Effect.gen(function*() {
    const { hash, token } = makeToken(name)
    const reply = decodeReply(yield* carryOut(node, { _tag: "AddToken", user: name, hash, expiresMs: 0 }))
    if (reply._tag !== "TokenReply") throw new Error(reply._tag)
    return { token, id: reply.token }
  })

export const putRole = (node: Node, name: string, read: ReadonlyArray<string>, write: ReadonlyArray<string>) =>
  carryOut(node, {
    _tag: "PutRole",
    role: { name, read: read.map(bytes), write: write.map(bytes), admin: false }
  })

export const putUser = (node: Node, name: string, roles: ReadonlyArray<string>) =>
  carryOut(node, { _tag: "PutUser", name, roles, maxLeases: 10, maxSessions: 10 })

export const client = (
  at: number,
  options: Partial<ClientOptions> = {}
): Effect.Effect<Context.Context<RemoteClient.ClientServices>, never, Scope.Scope> =>
  Effect.orDie(Layer.build(Layer.fresh(
    RemoteClient.layer({ endpoints: [{ host, port: at }], requestTimeoutMs: 3_000, ...options })
  )))

export const failureOf = <A, E>(exit: Exit.Exit<A, E>): unknown =>
  Exit.isFailure(exit) ? Option.getOrElse(Cause.findErrorOption(exit.cause), () => exit.cause) : exit.value
