/** The commands that make certificates: an authority, and with it certificates of nodes and clients. */
import { Clock, Effect, Option, Redacted } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { X509Certificate } from "node:crypto"
import type { Authority } from "../../certificates/Authority.ts"
import { authorityDays, issue, leafDays, makeAuthority } from "../../certificates/Authority.ts"
import type { CertificateProblem } from "../../certificates/Authority.ts"
import type { CertificateName } from "../../net/tls/CertificateName.ts"
import { formatCertificateName } from "../../net/tls/CertificateName.ts"
import type { HolderFiles } from "../certificates/CertificateFolder.ts"
import * as Folder from "../certificates/CertificateFolder.ts"
import type { Held } from "../certificates/Holders.ts"
import { isHeldFrom, readHeld } from "../certificates/Holders.ts"
import { daysUntil, holderText, isoTime, untilText } from "../certificates/Text.ts"
import { check } from "./CertCheck.ts"
import { rotateCa } from "./CertRotate.ts"
import { show } from "./CertShow.ts"
import { checkDays, checkFolder, daysFlag, folderFlag, jsonFlag, overwriteFlag } from "../input/CertificateFlags.ts"
import { durationFlag } from "../input/Duration.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

const dayMs = 86_400_000

const usageOf = ({ problem }: CertificateProblem): Failure => wrongUsage(problem)

const ca = Command.make("ca", {
  certsDir: folderFlag,
  cluster: Flag.String("cluster").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("the cluster that it is for, as --cluster-id of its nodes; required")
  ),
  days: daysFlag("the authority", authorityDays),
  overwrite: overwriteFlag,
  json: jsonFlag
}, ({ certsDir, cluster, days, json, overwrite }) =>
  Effect.gen(function*() {
    yield* Effect.andThen(checkFolder(certsDir), checkDays(days))
    const [certificate, key] = [Folder.caFile(certsDir), Folder.caKeyFile(certsDir)]
    if (!overwrite) {
      yield* Folder.refuseExisting(
        [certificate, key],
        "flaredb cert rotate-ca replaces the authority of a running cluster, and with --overwrite nothing that this " +
          "one issued is accepted any more"
      )
    }
    const nowMs = yield* Clock.currentTimeMillis
    const made = yield* Effect.mapError(Effect.fromResult(makeAuthority({ cluster, days, nowMs })), usageOf)
    yield* Folder.makeFolder(certsDir)
    yield* Folder.writeText(key, Redacted.value(made.key), overwrite)
    yield* Folder.writeText(certificate, made.certificate, overwrite)
    if (json) {
      const validTo = isoTime(made.validToMs)
      return yield* Output.json({ cluster, certificate, key, validTo, daysLeft: daysUntil(made.validToMs, nowMs) })
    }
    yield* Output.lines(
      `authority of cluster ${cluster}: ${certificate}, valid to ${untilText(made.validToMs, nowMs)}\n` +
        `Its key is ${key}: with it, anyone can issue for the whole cluster. Keep it where no node runs.`
    )
  })).pipe(
    Command.withDescription("Make the authority of a cluster: ca.crt, which everybody gets, and ca.key."),
    Command.withExamples([
      { command: "flaredb cert ca --cluster production", description: "In ./certs, valid for ten years" }
    ])
  )

const issueFlags = {
  certsDir: folderFlag,
  days: daysFlag("the certificate", leafDays),
  host: Flag.String("host").pipe(
    Flag.withMetavar("HOST,…"),
    Flag.withDescription(
      "host names and IP addresses by which it is dialled; default those of the certificate that is there"
    ),
    Flag.optional
  ),
  cluster: Flag.String("cluster").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("the cluster; default that of the authority, needed where another program made that one"),
    Flag.optional
  ),
  overwrite: overwriteFlag,
  renewWithin: durationFlag("renew-within").pipe(
    Flag.withDescription(
      "for a timer: replace the certificate that is there when it ends within this time, and do nothing otherwise; " +
        "default never"
    ),
    Flag.optional
  ),
  json: jsonFlag
}

interface IssueFlags {
  readonly certsDir: string
  readonly days: number
  readonly host: Option.Option<string>
  readonly cluster: Option.Option<string>
  readonly overwrite: boolean
  readonly renewWithin: Option.Option<number>
  readonly json: boolean
}

const clusterFor = (authority: Authority, flag: Option.Option<string>): Effect.Effect<string, Failure> => {
  const given = Option.getOrUndefined(flag)
  if (authority.cluster !== undefined && given !== undefined && given !== authority.cluster) {
    return Effect.fail(wrongUsage(`the authority is for cluster ${authority.cluster}, not ${given}`))
  }
  const cluster = given ?? authority.cluster
  return cluster === undefined
    ? Effect.fail(wrongUsage("the authority does not say of which cluster it is: give --cluster"))
    : Effect.succeed(cluster)
}

const hostsFor = (flag: Option.Option<string>, present: Held | undefined): ReadonlyArray<string> =>
  Option.match(flag, {
    onNone: () => present?.hosts ?? [],
    onSome: (text) => text.split(",").map((host) => host.trim())
  })

const report = (
  { json }: IssueFlags,
  outcome: "issued" | "renewed" | "kept",
  { files, hosts, name, validToMs }: Held,
  nowMs: number
): Effect.Effect<void> => {
  if (json) {
    return Output.json({
      outcome,
      name: formatCertificateName(name),
      hosts,
      authorities: files.authorities,
      certificate: files.certificate,
      key: files.key,
      validTo: isoTime(validToMs),
      daysLeft: daysUntil(validToMs, nowMs)
    })
  }
  const at = hosts.length === 0 ? "" : ` at ${hosts.join(", ")}`
  return Output.lines(
    `${holderText(name)}${at}: ${files.certificate}, valid to ${untilText(validToMs, nowMs)}${
      outcome === "kept" ? "; kept as it is" : ""
    }`
  )
}

/** The certificate that is there, as far as it decides about the new one. */
const readPresent = Effect.fnUntraced(function*(flags: IssueFlags, name: CertificateName, files: HolderFiles) {
  const isWanted = Option.isSome(flags.renewWithin) || (name.kind === "node" && Option.isNone(flags.host))
  if (!isWanted || !Folder.exists(files.certificate)) return undefined
  const present = yield* readHeld(files)
  if (formatCertificateName(present.name) === formatCertificateName(name)) return present
  return yield* failed(
    `${files.certificate} is of ${holderText(present.name)}, not of ${
      holderText(name)
    }: remove it, or name its --host ` +
      "with --overwrite"
  )
})

/** Whether the certificate that is there may go on. One of an authority that was replaced may not. */
const mayBeKept = (present: Held, authority: Authority, within: number, nowMs: number): boolean =>
  present.validToMs - nowMs > within && isHeldFrom(present, [new X509Certificate(authority.certificate)])

const carryOut = Effect.fnUntraced(function*(flags: IssueFlags, nameOf: (cluster: string) => CertificateName) {
  const { certsDir, days, overwrite } = flags
  yield* Effect.andThen(checkFolder(certsDir), checkDays(days))
  const within = Option.getOrUndefined(flags.renewWithin)
  if (within !== undefined && within < 0) return yield* wrongUsage("--renew-within must not be negative")
  const authority = yield* Folder.readAuthority(certsDir)
  const name = nameOf(yield* clusterFor(authority, flags.cluster))
  const files = Folder.filesOf(certsDir, name)
  const nowMs = yield* Clock.currentTimeMillis
  const isThere = Folder.exists(files.certificate)
  if (!overwrite && within === undefined) {
    yield* Folder.refuseExisting(
      [files.certificate, files.key],
      "--overwrite replaces it, and --renew-within 30d only when it ends by then"
    )
  }
  const present = yield* readPresent(flags, name, files)
  if (present !== undefined && within !== undefined && mayBeKept(present, authority, within, nowMs)) {
    return yield* report(flags, "kept", present, nowMs)
  }
  const hosts = hostsFor(flags.host, present)
  if (name.kind === "node" && hosts.length === 0) {
    return yield* wrongUsage("--host is missing: name the hosts or addresses by which the node is dialled")
  }
  const made = yield* Effect.mapError(Effect.fromResult(issue(authority, { name, hosts, days, nowMs })), usageOf)
  const authorities = yield* Folder.readText(Folder.caFile(certsDir))
  yield* Folder.writeHolder(files, authorities, made)
  yield* report(flags, isThere ? "renewed" : "issued", yield* readHeld(files), nowMs)
  if (made.validToMs < nowMs + (days - 1) * dayMs) {
    yield* Output.problem("it ends with its authority, earlier than asked for; see flaredb cert rotate-ca")
  }
})

const node = Command.make("node", {
  id: Argument.Int("id").pipe(Argument.withDescription("the node, as --node-id of it")),
  ...issueFlags
}, (flags) =>
  flags.id < 1
    ? Effect.fail(wrongUsage(`${flags.id} is no node id`))
    : carryOut(flags, (cluster) => ({ kind: "node", cluster, node: flags.id }))).pipe(
    Command.withDescription(
      "Issue the certificate of a node, with its key. The folder node-ID is all that its machine needs: copy it " +
        "there, and start the node with --certs-dir."
    ),
    Command.withExamples([
      { command: "flaredb cert node 1 --host db1.example.com,10.0.0.1", description: "In ./certs/node-1" },
      { command: "flaredb cert node 1 --renew-within 30d", description: "For a timer: renew it in time, same hosts" }
    ])
  )

const client = Command.make("client", {
  name: Argument.String("name").pipe(
    Argument.withDescription("the client, as its user is called; admin may always do everything")
  ),
  ...issueFlags
}, (flags) => carryOut(flags, (cluster) => ({ kind: "client", cluster, client: flags.name }))).pipe(
  Command.withDescription("Issue the certificate of a client, with its key. It cannot act as a node."),
  Command.withExamples([
    { command: "flaredb cert client admin", description: "In ./certs/client-admin" },
    { command: "flaredb cert client billing --days 30", description: "One that ends soon" }
  ])
)

export const cert = Command.make("cert").pipe(
  Command.withDescription("Certificates of a cluster: make, show, check and replace them."),
  Command.withSubcommands([ca, node, client, show, check, rotateCa]),
  Command.withExamples([
    { command: "flaredb cert ca --cluster production", description: "The authority first, then nodes and clients" }
  ])
)
