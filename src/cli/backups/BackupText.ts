/** What there is to say of a backup: as JSON, and in a sentence. */
import type { BackupContents } from "../../storage/backup/BackupReader.ts"
import { formatBytes } from "../output/Progress.ts"

export const summary = (file: string, { header, totals }: BackupContents) => ({
  file,
  clusterId: header.clusterId,
  identity: header.identity,
  machine: header.machine,
  revision: header.revision,
  index: header.index,
  term: header.term,
  logTime: new Date(header.logTimeMs).toISOString(),
  created: new Date(header.createdMs).toISOString(),
  servedBy: header.nodeId,
  rows: totals.rows,
  bytes: totals.bytes,
  sha256: totals.digest
})

export const sentence = ({ header, totals }: BackupContents): string =>
  `cluster ${header.clusterId} at revision ${header.revision} (log index ${header.index}, identity ` +
  `${header.identity}), ${totals.rows} rows, ${formatBytes(totals.bytes)}, sha256 ${totals.digest}`
