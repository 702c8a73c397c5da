// Everything here improves pages that already work without it.
"use strict";
