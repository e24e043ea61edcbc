/** The command that replaces the authority of a running cluster, in three steps. */
import { Clock, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { authorityDays, leafDays } from "../../certificates/Authority.ts"
import { formatEndpoint, parseEndpoints } from "../../client/connection/Endpoint.ts"
import { formatCertificateName } from "../../net/tls/CertificateName.ts"
import { liveCertificate } from "../certificates/LiveCertificate.ts"
import * as Rotation from "../certificates/Rotation.ts"
import { holderText, isoTime, untilText } from "../certificates/Text.ts"
import {
  checkDays,
  checkFolder,
  checkTimeout,
  daysFlag,
  folderFlag,
  jsonFlag,
  timeoutFlag
} from "../input/CertificateFlags.ts"
import { failureOf } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

const folderList = (folders: ReadonlyArray<string>): string =>
  folders.length === 0 ? "no folder of a node or client" : folders.join(", ")

const begin = Command.make("begin", {
  certsDir: folderFlag,
  days: daysFlag("the new authority", authorityDays),
  cluster: Flag.String("cluster").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("the cluster; default that of the old authority, needed where another program made that one"),
    Flag.optional
  ),
  json: jsonFlag
}, ({ certsDir, cluster, days, json }) =>
  Effect.gen(function*() {
    yield* Effect.andThen(checkFolder(certsDir), checkDays(days))
    const nowMs = yield* Clock.currentTimeMillis
    const { authority, folders } = yield* Rotation.begin(certsDir, {
      cluster: Option.getOrUndefined(cluster),
      days,
      nowMs
    })
    if (json) return yield* Output.json({ step: "begin", folders, validTo: isoTime(authority.validToMs) })
    yield* Output.lines(
      `new authority beside the old one, valid to ${untilText(authority.validToMs, nowMs)}; ca.crt has both in ` +
        `${folderList(folders)}\n` +
        "Next: copy ca.crt to every node and client, and wait until all have taken it. Then flaredb cert rotate-ca " +
        "reissue"
    )
  })).pipe(
    Command.withDescription("Step 1: a new authority beside the old one. Nothing is issued by it yet."),
    Command.withExamples([{ command: "flaredb cert rotate-ca begin", description: "In ./certs" }])
  )

const reissue = Command.make("reissue", {
  certsDir: folderFlag,
  days: daysFlag("each certificate", leafDays),
  json: jsonFlag
}, ({ certsDir, days, json }) =>
  Effect.gen(function*() {
    yield* Effect.andThen(checkFolder(certsDir), checkDays(days))
    const nowMs = yield* Clock.currentTimeMillis
    const { issued, kept } = yield* Rotation.reissue(certsDir, { days, nowMs })
    if (json) {
      const names = (list: typeof issued) => list.map(({ name }) => formatCertificateName(name))
      return yield* Output.json({ step: "reissue", issued: names(issued), kept: names(kept) })
    }
    const lines = issued.map(({ files, name, validToMs }) =>
      `${holderText(name)}: ${files.certificate}, valid to ${untilText(validToMs, nowMs)}`
    )
    if (kept.length > 0) lines.push(`kept: ${kept.map(({ name }) => holderText(name)).join(", ")}`)
    if (lines.length === 0) {
      lines.push(`${certsDir} has no certificate of a node or client: issue those again that exist`)
    }
    lines.push(
      "Next: copy each folder to its machine, and wait until all show their new certificate. Then flaredb cert " +
        "rotate-ca finish"
    )
    yield* Output.lines(lines.join("\n"))
  })).pipe(
    Command.withDescription(
      "Step 2: issue every certificate again, by the new authority, for the same names and hosts."
    ),
    Command.withExamples([{ command: "flaredb cert rotate-ca reissue", description: "All that are in ./certs" }])
  )

const finish = Command.make("finish", {
  certsDir: folderFlag,
  endpoints: Flag.String("endpoints").pipe(
    Flag.withAlias("e"),
    Flag.withMetavar("HOST:PORT,…"),
    Flag.withDescription(
      "ports that must show a certificate of the new authority before the old one goes; default none"
    ),
    Flag.optional
  ),
  timeout: timeoutFlag,
  json: jsonFlag
}, ({ certsDir, endpoints, json, timeout }) =>
  Effect.gen(function*() {
    yield* Effect.andThen(checkFolder(certsDir), checkTimeout(timeout))
    const ports = Option.isNone(endpoints)
      ? []
      : yield* Effect.mapError(parseEndpoints(endpoints.value), failureOf)
    const shown = yield* Effect.forEach(ports, (endpoint) =>
      Effect.map(
        liveCertificate(endpoint, timeout),
        (certificate) => ({ where: formatEndpoint(endpoint), certificate })
      ))
    const { folders, removed } = yield* Rotation.finish(certsDir, shown)
    if (json) {
      return yield* Output.json({ step: "finish", folders, removed })
    }
    yield* Output.lines(
      `the old authority (SHA-256 ${removed}) is out of ca.crt in ${folderList(folders)}\n` +
        "Next: copy ca.crt to every node and client. From then on nothing that the old one issued is accepted."
    )
  })).pipe(
    Command.withDescription("Step 3: remove the old authority. Refused while a certificate in the folder is of it."),
    Command.withExamples([
      {
        command: "flaredb cert rotate-ca finish -e db1:7001,db2:7001,db3:7001",
        description: "Look at what the nodes show first"
      }
    ])
  )

export const rotateCa = Command.make("rotate-ca").pipe(
  Command.withDescription(
    "Replace the authority of a running cluster: begin, reissue, finish, each copied everywhere."
  ),
  Command.withSubcommands([begin, reissue, finish]),
  Command.withExamples([{ command: "flaredb cert rotate-ca begin", description: "The first of the three steps" }])
)
