/** The command that holds a folder of certificates against all that a start demands of it. */
import { Clock, Config, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import type { CertificateFacts } from "../../certificates/Certificates.ts"
import { factsOf } from "../../certificates/Certificates.ts"
import { parseNodes } from "../../config/NodeAddress.ts"
import { variableOf } from "../../config/Setting.ts"
import { formatCertificateName } from "../../net/tls/CertificateName.ts"
import type { Finding } from "../certificates/FolderCheck.ts"
import { checkFolder as checkFolderContent } from "../certificates/FolderCheck.ts"
import type { Held } from "../certificates/Holders.ts"
import { daysUntil, holderText, isoTime, untilText } from "../certificates/Text.ts"
import { checkFolder, defaultFolder, jsonFlag } from "../input/CertificateFlags.ts"
import { withDefault, withVariable } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { exitCodes, exitWith, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

const text = (name: string, flag: string, form: string, description: string) =>
  Flag.String(flag).pipe(
    Flag.withMetavar(form),
    Flag.withDescription(`${description}; default any (${variableOf(name)})`),
    Flag.withFallbackConfig(Config.String(variableOf(name))),
    Flag.optional
  )

const problemLine = ({ advice, file, problem }: Finding): string => `${file}: ${problem}; ${advice}`

const heldLine = ({ files, hosts, name, validToMs }: Held, nowMs: number): string =>
  `${files.certificate}: ${holderText(name)}${hosts.length === 0 ? "" : ` at ${hosts.join(", ")}`}, valid to ${
    untilText(validToMs, nowMs)
  }`

const heldJson = ({ files, hosts, name, validToMs }: Held, nowMs: number) => ({
  certificate: files.certificate,
  name: formatCertificateName(name),
  hosts,
  validTo: isoTime(validToMs),
  daysLeft: daysUntil(validToMs, nowMs)
})

const authorityLine = ({ subject, validToMs }: CertificateFacts, nowMs: number): string =>
  `authority ${subject}, valid to ${untilText(validToMs, nowMs)}`

const authorityJson = ({ subject, validToMs }: CertificateFacts, nowMs: number) => ({
  authority: subject,
  validTo: isoTime(validToMs),
  daysLeft: daysUntil(validToMs, nowMs)
})

export const check = Command.make("check", {
  certsDir: Flag.String("certs-dir").pipe(
    Flag.withMetavar("DIR"),
    withVariable(
      "the folder of a node or client, or of an authority with all that it issued",
      { name: "FLAREDB_CERTS_DIR", config: Config.String },
      defaultFolder
    )
  ),
  nodes: text("nodes", "nodes", "ID=HOST:CLIENT:PEER:HTTP,…", "hold the hosts of certificates against these nodes"),
  nodeId: Flag.Int("node-id").pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription(
      `the node whose certificate it must be, or an authority must have; default any (${variableOf("nodeId")})`
    ),
    Flag.withFallbackConfig(Config.Int(variableOf("nodeId"))),
    Flag.optional
  ),
  clusterId: text("clusterId", "cluster-id", "NAME", "the cluster of which certificates must be"),
  expiresWithin: durationFlag("expires-within").pipe(
    withDefault("a certificate that ends within this time is a problem, too", 0, "0s")
  ),
  json: jsonFlag
}, (flags) =>
  Effect.gen(function*() {
    yield* checkFolder(flags.certsDir)
    if (flags.expiresWithin < 0) return yield* wrongUsage("--expires-within must not be negative")
    const nodes = Option.isNone(flags.nodes)
      ? undefined
      : yield* Effect.mapError(parseNodes(flags.nodes.value), failureOf)
    const nowMs = yield* Clock.currentTimeMillis
    const { authorities, held, problems } = yield* checkFolderContent(flags.certsDir, {
      nodes,
      node: Option.getOrUndefined(flags.nodeId),
      cluster: Option.getOrUndefined(flags.clusterId),
      expiresWithinMs: flags.expiresWithin,
      nowMs
    })
    const facts = authorities.map(factsOf)
    if (flags.json) {
      const own = facts.map((each) => authorityJson(each, nowMs))
      yield* Output.jsonLines([...own, ...held.map((each) => heldJson(each, nowMs)), ...problems])
    } else {
      const lines = [
        ...facts.map((each) => authorityLine(each, nowMs)),
        ...held.map((each) => heldLine(each, nowMs)),
        ...problems.map((each) => `problem: ${problemLine(each)}`)
      ]
      if (lines.length > 0) yield* Output.lines(lines.join("\n"))
    }
    if (problems.length > 0) {
      return yield* exitWith(
        exitCodes.failed,
        `${problems.length} problem${problems.length === 1 ? "" : "s"} in ${flags.certsDir}`
      )
    }
  })).pipe(
    Command.withDescription(
      "Tell everything in a folder of certificates that a start, or the other nodes, would refuse (exit code 1), and " +
        "what to do about each."
    ),
    Command.withExamples([
      { command: "flaredb cert check --certs-dir /etc/flaredb/certs", description: "On the machine of a node" },
      {
        command: "flaredb cert check --nodes 1=db1:7001:7101:7201 --expires-within 30d",
        description: "All of ./certs: hosts, and what ends soon"
      }
    ])
  )
