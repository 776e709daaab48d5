/** The conformance suite of asynchronous files on: tmpfs. */
import { describeConformance } from './aio-conformance.ts';
import { TargetMaker } from './aio-conformance-targets.ts';

describeConformance(new TargetMaker('tmpfs'));
