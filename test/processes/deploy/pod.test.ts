/** The command of the pods in `deploy/kubernetes`, run by a shell: which node a pod is, and what it starts. */
import { spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, it } from "vitest"
import { manifestsIn, only } from "../../deploy/Manifests.ts"

const [container] = only(manifestsIn("deploy/kubernetes/base"), "StatefulSet").spec.template.spec.containers
const folder = mkdtempSync(join(tmpdir(), "flaredb-pod-"))
writeFileSync(join(folder, "node"), `#!/bin/sh\necho "$FLAREDB_NODE_ID $FLAREDB_CERTS_DIR $*"\n`)
chmodSync(join(folder, "node"), 0o755)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

it.each([0, 1, 2])("pod flaredb-%i is the node after it", (ordinal) => {
  const [program, ...args] = [...container.command, ...container.args]
  // Kubernetes replaces $(NAME) of variables that it knows, and leaves everything else as it is.
  assert.notMatch(args.join(" "), /\$\([A-Za-z_]\w*\)/)
  const { stderr, stdout } = spawnSync(program, args, {
    encoding: "utf8",
    env: { PATH: `${folder}:/usr/bin:/bin`, HOSTNAME: `flaredb-${ordinal}` }
  })
  const id = ordinal + 1
  assert.strictEqual(stdout, `${id} /etc/flaredb/certs/node-${id} /opt/flaredb/bin/flaredb.js start\n`, stderr)
})
