{
  description = "FlareDB: replicated, durable state for Effect services";

  inputs.nixpkgs.url = "github:nixos/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];
      forEachSystem = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

      packageFor = pkgs: pkgs.callPackage ./deploy/nix/package.nix { src = self; };

      # Everything here runs on Nix's own Node. The Node that npm installs to pin it elsewhere expects the libraries of an
      # ordinary distribution, and npm's scripts would find it first; so they get a shell that finds Nix's before it.
      # (No dependency needs its install script: rocksdb-native ships prebuilt.)
      environment =
        pkgs:
        {
          npm_config_ignore_scripts = "true";
          npm_config_script_shell = "${pkgs.writeShellScript "npm-script-shell" ''
            export PATH="${pkgs.nodejs_24}/bin:$PATH"
            exec ${pkgs.runtimeShell} "$@"
          ''}";
        }
        # rocksdb-native's prebuilt binding looks for libstdc++, libgcc_s and libatomic, which all come with the compiler.
        // pkgs.lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
          LD_LIBRARY_PATH = pkgs.lib.makeLibraryPath [ pkgs.stdenv.cc.cc.lib ];
        };
    in
    {
      # `nix build`, `nix run . -- status`, and what the module runs.
      packages = forEachSystem (pkgs: {
        default = packageFor pkgs;
      });

      # services.flaredb: docs/three-machines.md has an example.
      nixosModules.default = import ./deploy/nix/module.nix { inherit packageFor; };

      # `nix flake check`: the package, and on Linux three virtual machines with it.
      checks = forEachSystem (
        pkgs:
        let
          package = packageFor pkgs;
        in
        {
          inherit package;
        }
        // pkgs.lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
          cluster = import ./deploy/nix/cluster-test.nix {
            inherit pkgs package;
            module = self.nixosModules.default;
          };
        }
      );

      # `nix develop`, then `npm ci && npm start`. `ldb` and `sst_dump` look into a copy of a data directory.
      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell (
          {
            packages = [
              pkgs.nodejs_24
              pkgs.rocksdb.tools
            ];
          }
          // environment pkgs
        );
      });

      # `nix run .#cluster`, in a clone: three nodes on this machine, as `npm start`.
      apps = forEachSystem (
        pkgs:
        let
          cluster = pkgs.writeShellApplication {
            name = "flaredb-cluster";
            runtimeInputs = [ pkgs.nodejs_24 ];
            runtimeEnv = environment pkgs;
            text = ''
              if [[ ! -f bin/flaredb.js ]]; then
                echo "flaredb-cluster: run this in a clone of FlareDB (there is no bin/flaredb.js in $PWD)" >&2
                exit 1
              fi
              # npm writes this file last in an install, so it is older than the lock when another one is due.
              [[ node_modules/.package-lock.json -nt package-lock.json ]] || npm ci
              npm run --silent build
              exec node bin/flaredb.js cluster "$@"
            '';
          };
        in
        {
          cluster = {
            type = "app";
            program = "${cluster}/bin/flaredb-cluster";
          };
        }
      );
    };
}
