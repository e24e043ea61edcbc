/** The command that shows what a certificate says, of a file or of a port that is open. */
import { Clock, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import type { X509Certificate } from "node:crypto"
import { join } from "node:path"
import { isFolder } from "../../FileKind.ts"
import { factsOf } from "../../certificates/Certificates.ts"
import { parseEndpoint } from "../../client/connection/Endpoint.ts"
import { exists, holdersIn, readCertificates } from "../certificates/CertificateFolder.ts"
import { liveCertificate } from "../certificates/LiveCertificate.ts"
import { factsJson, factsText } from "../certificates/Text.ts"
import { checkTimeout, jsonFlag, timeoutFlag } from "../input/CertificateFlags.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

/** A folder is shown by its certificates, one at a time: those in it, and those of its nodes and clients. */
const certificatesIn = (folder: string): Effect.Effect<ReadonlyArray<string>, Failure> =>
  Effect.map(holdersIn(folder), (holders) => [
    ...["ca", "node", "client"].map((name) => join(folder, `${name}.crt`)).filter(exists),
    ...holders.map(({ certificate }) => certificate)
  ])

const folderText = (folder: string, certificates: ReadonlyArray<string>): string =>
  `${folder} is a folder; ` + (certificates.length === 0
    ? "name a certificate in it, a file in PEM form"
    : `give one of ${certificates.join(", ")}, or run flaredb cert check --certs-dir ${folder}`)

/** A file of that name comes before a port. */
export const certificatesOf = (
  source: string,
  timeoutMs: number
): Effect.Effect<ReadonlyArray<X509Certificate>, Failure> => {
  if (source === "") return Effect.fail(wrongUsage("the source is empty; give a file, or HOST:PORT"))
  if (isFolder(source)) {
    return Effect.flatMap(certificatesIn(source), (names) => Effect.fail(wrongUsage(folderText(source, names))))
  }
  if (exists(source)) return readCertificates(source)
  return parseEndpoint(source).pipe(
    Effect.mapError(() => wrongUsage(`there is no file ${source}; give one in PEM form, or HOST:PORT of a node`)),
    Effect.flatMap((endpoint) => liveCertificate(endpoint, timeoutMs)),
    Effect.map((certificate) => [certificate])
  )
}

export const show = Command.make("show", {
  source: Argument.String("source").pipe(
    Argument.withDescription("a file in PEM form, or HOST:PORT of a node that runs")
  ),
  timeout: timeoutFlag,
  json: jsonFlag
}, ({ json, source, timeout }) =>
  Effect.gen(function*() {
    yield* checkTimeout(timeout)
    const certificates = yield* certificatesOf(source, timeout)
    const nowMs = yield* Clock.currentTimeMillis
    const facts = certificates.map(factsOf)
    yield* json
      ? Output.jsonLines(facts.map((each) => factsJson(each, nowMs)))
      : Output.lines(facts.map((each) => factsText(each, nowMs)).join("\n\n"))
  })).pipe(
    Command.withDescription("Show whose a certificate is, for which hosts, how long it is valid and who issued it."),
    Command.withExamples([
      { command: "flaredb cert show certs/node-1/node.crt", description: "Of a file" },
      { command: "flaredb cert show db1.example.com:7001", description: "What a running node shows" }
    ])
  )
