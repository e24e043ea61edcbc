/** Where etcd is, and what it is shown: the flags of a command that reads it. */
import { Effect, Option, Redacted } from "effect"
import { Flag } from "effect/cli"
import { stat } from "node:fs/promises"
import { notAFile } from "../../FileKind.ts"
import { othersMayUse, readableByOthers } from "../../SecretFile.ts"
import { readSmallFile } from "../../SmallFile.ts"
import { unreadText } from "../../ErrorText.ts"
import type { EtcdOptions, EtcdTls } from "../import/EtcdCalls.ts"
import { withoutUserInfo } from "../../WithoutUserInfo.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"
import { fromFlag, fromOf } from "./CopyFlags.ts"

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

export const etcdFlags = {
  from: fromFlag(
    "URL,…",
    "client URLs of etcd: http://HOST:PORT, or https. Several are those of one cluster",
    "ETCDCTL_ENDPOINTS"
  ),
  user: text("user", "NAME", "user of etcd to read as; default none"),
  passwordFile: text("password-file", "FILE", "file with the password of --user; required with it"),
  etcdCacert: text("etcd-cacert", "FILE", "authorities that etcd's certificate is checked with; default those of Node"),
  etcdCert: text("etcd-cert", "FILE", "certificate to show to etcd; default none"),
  etcdKey: text("etcd-key", "FILE", "its key; required with --etcd-cert")
}

export type EtcdFlags = Readonly<Record<keyof typeof etcdFlags, Option.Option<string>>>

/** Larger files hold no certificate, key or password. */
const maxFileBytes = 1024 * 1024

/** How long a call is repeated while no endpoint of etcd answers, in milliseconds: a member restarts within it. */
const patienceMs = 30_000

const fileOf = (
  flag: string,
  path: Option.Option<string>,
  secret: boolean
): Effect.Effect<string | undefined, Failure> =>
  Option.match(path, {
    onNone: () => Effect.succeed(undefined),
    onSome: (name) =>
      Effect.tryPromise({
        try: async () => {
          const tooLarge = (bytes: number) => new Error(`it has ${bytes} bytes`)
          if (name === "") throw new Error("its name is empty")
          const found = await stat(name)
          if (found.isDirectory()) throw new Error(notAFile(found))
          const { mode, size } = found
          if (size > maxFileBytes) throw tooLarge(size)
          if (secret && othersMayUse(mode)) throw new Error(readableByOthers(name))
          return await readSmallFile(name, maxFileBytes, tooLarge)
        },
        catch: (error) => wrongUsage(`--${flag} ${name}: ${unreadText(error)}`)
      })
  })

/** The endpoints of a list. Without a scheme they are HTTP, or HTTPS when certificates are given, as etcdctl has it. */
export const endpointsOf = (list: string, secure: boolean): Effect.Effect<ReadonlyArray<URL>, Failure> =>
  Effect.forEach(list.split(",").map((item) => item.trim()), (item) => {
    const address = /^[a-z]+:\/\//.test(item) ? item : `${secure ? "https" : "http"}://${item}`
    const url = URL.canParse(address) ? new URL(address) : undefined
    const isEndpoint = url !== undefined && item !== "" && /^https?:$/.test(url.protocol) && url.pathname === "/" &&
      url.search === "" && url.hash === "" && url.username === "" && url.password === ""
    return isEndpoint
      ? Effect.succeed(url)
      : Effect.fail(
        wrongUsage(
          `--from: ${JSON.stringify(withoutUserInfo(item))} is no client URL of etcd such as http://10.0.0.1:2379`
        )
      )
  })

/** How etcd is reached, as the flags say. */
export const etcdOptions = Effect.fnUntraced(function*(
  flags: EtcdFlags,
  timeoutMs: number
): Effect.fn.Return<EtcdOptions, Failure> {
  const { etcdCacert, etcdCert, etcdKey, from, passwordFile, user } = flags
  const list = yield* fromOf(from, "which etcd is to be imported?")
  if (Option.isSome(etcdCert) !== Option.isSome(etcdKey)) {
    return yield* wrongUsage("--etcd-cert and --etcd-key belong together; give both, or neither")
  }
  if (Option.isSome(user) !== Option.isSome(passwordFile)) {
    return yield* wrongUsage("--user and --password-file belong together; give both, or neither")
  }
  const tls: EtcdTls = {
    authorities: yield* fileOf("etcd-cacert", etcdCacert, false),
    certificate: yield* fileOf("etcd-cert", etcdCert, false),
    key: yield* fileOf("etcd-key", etcdKey, true)
  }
  const secure = tls.authorities !== undefined || tls.certificate !== undefined
  const endpoints = yield* endpointsOf(list, secure)
  const plain = endpoints.find(({ protocol }) => protocol === "http:")
  if (secure && plain !== undefined) {
    return yield* wrongUsage(`--from: ${plain.origin} is not https, so --etcd-cacert and --etcd-cert have no use there`)
  }
  const password = yield* fileOf("password-file", passwordFile, true)
  return {
    endpoints,
    tls,
    timeoutMs,
    patienceMs,
    user: Option.isNone(user) || password === undefined
      ? undefined
      : { name: user.value, password: Redacted.make(password.replace(/\r?\n$/, ""), { label: "password" }) }
  }
})
