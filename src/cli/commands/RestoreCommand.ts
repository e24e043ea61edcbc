/** The command that makes a node of a new cluster from a backup. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as NodeConfig from "../../config/index.ts"
import type { BackupContents } from "../../storage/backup/BackupReader.ts"
import { sentence, summary } from "../backups/BackupText.ts"
import { exists, holderFiles } from "../certificates/CertificateFolder.ts"
import { readHeld } from "../certificates/Holders.ts"
import { named } from "../input/Named.ts"
import { fileArgument } from "../input/BackupFile.ts"
import { nodeFlags } from "../input/NodeFlags.ts"
import { makeSwitch } from "../input/Switch.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { make as makeProgress, progressFlag } from "../output/Progress.ts"

/** The cluster that a node's certificates are of; nothing where there are none, or none that can be read. */
const clusterOfCertificates = (folder: Option.Option<string>): Effect.Effect<string | undefined> => {
  const files = holderFiles(Option.getOrElse(folder, () => ""), "node")
  if (files.folder === "" || !exists(files.certificate)) return Effect.succeed(undefined)
  return Effect.match(readHeld(files), { onSuccess: ({ name }) => name.cluster, onFailure: () => undefined })
}

/** The name of the cluster is in its certificates, so a new name takes new ones. */
const newCertificates = (clusterId: string, certificatesOf: string | undefined): string =>
  certificatesOf === undefined || certificatesOf === clusterId
    ? ""
    : `\nthe certificates of this node are of the cluster ${certificatesOf}; make those of ${clusterId} before the ` +
      `start: flaredb cert ca --cluster ${clusterId} --certs-dir FOLDER, then one for each node and client`

/** The name of the new cluster unless one is given: nodes restored from different backups then refuse each other. */
const restoredClusterId = ({ header, totals }: BackupContents): string =>
  `${header.clusterId.slice(0, 48)}-${totals.digest.slice(0, 12)}`

export const restore = Command.make("restore", {
  nodeId: Flag.optional(nodeFlags.nodeId),
  nodes: nodeFlags.nodes,
  clusterId: Flag.String("cluster-id").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription(
      "name of the new cluster, other than the old one's; default: the old name with the beginning of the backup's hash"
    ),
    Flag.optional
  ),
  dataDir: nodeFlags.dataDir,
  certsDir: nodeFlags.certsDir,
  dryRun: makeSwitch("dry-run").pipe(
    Flag.withDescription("only check the file, and change nothing"),
    Flag.withDefault(false)
  ),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false)),
  progress: progressFlag,
  file: fileArgument
}, (flags) =>
  Effect.gen(function*() {
    yield* named("name of the backup file", flags.file)
    if (flags.file === "-") {
      return yield* wrongUsage(
        "a backup is read twice, once to check all of it before anything is changed; save standard input to a file, " +
          "and name that"
      )
    }
    const [{ readBackup }, { restore }, { isSessionRow }, { keyValueMachine }, { checkOfBackup }] = yield* Effect
      .promise(() =>
        Promise.all([
          import("../../storage/backup/BackupReader.ts"),
          import("../../storage/backup/Restore.ts"),
          import("../../kv/model/Keyspace.ts"),
          import("../../machine/StateFacts.ts"),
          import("../../machine/StateCheck.ts")
        ])
      )
    const checking = yield* makeProgress("check", flags)
    const checked = yield* readBackup(flags.file, { check: checkOfBackup, onProgress: checking.report }).pipe(
      Effect.ensuring(checking.end)
    )
    if (flags.dryRun) {
      return yield* Output.lines(
        flags.json ? JSON.stringify(summary(flags.file, checked)) : `${flags.file} is whole: ${sentence(checked)}`
      )
    }
    if (Option.isNone(flags.nodeId)) return yield* wrongUsage("--node-id is missing: which of the nodes is this to be?")
    const clusterId = Option.getOrElse(flags.clusterId, () => restoredClusterId(checked))
    if (clusterId === checked.header.clusterId) {
      return yield* wrongUsage(
        `--cluster-id ${clusterId} is the name of the cluster that was backed up; give the new cluster another one, ` +
          "so that nodes of the two never mix"
      )
    }
    const config = yield* NodeConfig.make({
      nodeId: flags.nodeId.value,
      clusterId,
      nodes: Option.isSome(flags.nodes) ? yield* NodeConfig.parseNodes(flags.nodes.value) : NodeConfig.defaults.nodes,
      ...(Option.isSome(flags.dataDir) ? { dataDir: flags.dataDir.value } : {})
    })
    const progress = yield* makeProgress("restore", flags)
    const restored = yield* restore({
      file: flags.file,
      path: config.dataDir,
      clusterId,
      nodeId: config.nodeId,
      voters: config.nodes.map(({ id }) => id).sort((a, b) => a - b),
      keeps: ({ machine }, { key }) => machine !== keyValueMachine || !isSessionRow(key),
      check: checkOfBackup,
      checked: true,
      onProgress: (_, bytes, ofBytes) => progress.report(bytes, ofBytes)
    }).pipe(Effect.ensuring(progress.end))
    const certificatesOf = yield* clusterOfCertificates(flags.certsDir)
    yield* flags.json
      ? Output.lines(
        JSON.stringify({
          ...summary(flags.file, restored),
          dataDir: config.dataDir,
          nodeId: config.nodeId,
          newClusterId: clusterId,
          certificatesOf: certificatesOf ?? null,
          restoredRows: restored.rows
        })
      )
      : Output.lines(
        `${config.dataDir}: node ${config.nodeId} of the new cluster ${clusterId}, from ${sentence(restored)}\n` +
          `restore the same file for the other nodes, then start all with --cluster-id ${clusterId}` +
          newCertificates(clusterId, certificatesOf)
      )
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Make the data directory of one node of a new cluster from a backup. The same file, restored for each node, " +
        "makes the cluster."
    ),
    Command.withExamples([
      { command: "flaredb restore nightly.flaredb --dry-run", description: "Check a backup" },
      {
        command: "flaredb restore nightly.flaredb --node-id 1 --data-dir ./restored/node-1",
        description: "Node 1 of a new local cluster"
      }
    ])
  )
