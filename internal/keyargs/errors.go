package keyargs

import (
	"math"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// Errors that need no further words, in Redis' texts. They are made once: none is changed.
var (
	errSyntax     = protocol.Errorf("syntax error")
	errNotInteger = protocol.Errorf("value is not an integer or out of range")

	errTrimTwice        = protocol.Errorf("syntax error, MAXLEN and MINID options at the same time are not compatible")
	errMaxLen           = protocol.Errorf("The MAXLEN argument must be >= 0.")
	errLimit            = protocol.Errorf("The LIMIT argument must be >= 0.")
	errLimitAlone       = protocol.Errorf("syntax error, LIMIT cannot be used without specifying a trimming strategy")
	errLimitExact       = protocol.Errorf("syntax error, LIMIT cannot be used without the special ~ option")
	errTrimNone         = protocol.Errorf("syntax error, XTRIM must be called with a trimming strategy")
	errArityXAdd        = protocol.ErrArity("xadd")
	errZeroID           = protocol.Errorf("%s", stream.ErrIDZero)
	errIDMPTwice        = protocol.Errorf("IDMP/IDMPAUTO specified multiple times")
	errIDMPExplicit     = protocol.Errorf("IDMP/IDMPAUTO can be used only with auto-generated IDs")
	errIDMPProducer     = protocol.Errorf("IDMP requires a non-empty producer ID")
	errIDMPIID          = protocol.Errorf("IDMP requires a non-empty idempotent ID")
	errIDMPAutoProducer = protocol.Errorf("IDMPAUTO requires a non-empty producer ID")

	errFence = protocol.Errorf("a fencing token must be an integer from 0 to %d", int64(math.MaxInt64))

	errEntriesRead     = protocol.Errorf("value for ENTRIESREAD must be positive or -1")
	errClaimIdle       = protocol.Errorf("Invalid min-idle-time argument for XCLAIM")
	errClaimIdleOption = protocol.Errorf("Invalid IDLE option argument for XCLAIM")
	errClaimTime       = protocol.Errorf("Invalid TIME option argument for XCLAIM")
	errClaimCount      = protocol.Errorf("Invalid RETRYCOUNT option argument for XCLAIM")
	errAutoClaimIdle   = protocol.Errorf("Invalid min-idle-time argument for XAUTOCLAIM")
	errAutoClaimCount  = protocol.Errorf("COUNT must be > 0")
	errNackMode        = protocol.Errorf("mode must be SILENT, FAIL, or FATAL")
	errNackNumIDs      = protocol.Errorf("numids must be a positive integer")
	errNackFewIDs      = protocol.Errorf("number of IDs doesn't match numids")
	errNackCount       = protocol.Errorf("Invalid RETRYCOUNT value, must be >= 0")
	errNackKeyword     = protocol.Errorf("syntax error, expected IDS keyword")

	errMissingGroup     = protocol.Errorf("Missing GROUP option for XREADGROUP")
	errGroupUnbalanced  = protocol.Errorf("Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.")
	errEndForGroup      = protocol.Errorf("The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.")
	errReadMinIdle      = protocol.Errorf("min-idle-time is not an integer or out of range")
	errReadMinIdleBelow = protocol.Errorf("min-idle-time must be a positive integer")
	errGroupMaxSize     = protocol.Errorf("MAXSIZE is not available for XREADGROUP: use MAXCOUNT")

	errTimeout         = protocol.Errorf("timeout is not an integer or out of range")
	errTimeoutNegative = protocol.Errorf("timeout is negative")
	errTimeoutTooLong  = protocol.Errorf("timeout is out of range")
	errUnbalanced      = protocol.Errorf("Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.")
	errGroupOption     = protocol.Errorf("The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
	errNoAckOption     = protocol.Errorf("The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
	errNewForGroup     = protocol.Errorf("The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
	errManyStreams     = protocol.Errorf("more than %d streams in one command", maxStreams)
	errMaxCount        = protocol.Errorf("MAXCOUNT must be a positive integer, and at least COUNT")
	errMaxSize         = protocol.Errorf("MAXSIZE must be a positive integer")

	errLocal    = protocol.Errorf("value is out of range, value must between 0 and 1")
	errNegative = protocol.Errorf("value is out of range, must be positive")

	errNumIDs      = protocol.Errorf("Number of IDs must be a positive integer")
	errFewIDs      = protocol.Errorf("The `numids` parameter must match the number of arguments")
	errManyIDs     = protocol.Errorf("more than %d IDs in one command", maxCounted)
	errAdded       = protocol.Errorf("entries_added must be positive")
	errDeletedID   = protocol.Errorf("%s", stream.ErrSetIDProvided)
	errNoParameter = protocol.Errorf("At least one parameter must be specified")
	errDuration    = protocol.Errorf("IDMP-DURATION must be between 1 and %d seconds", stream.MaxDuration)
	errIDMPMaxSize = protocol.Errorf("IDMP-MAXSIZE must be between 1 and %d entries", stream.MaxMaxSize)

	errNXAndOther = protocol.Errorf("NX and XX, GT or LT options at the same time are not compatible")
	errGTAndLT    = protocol.Errorf("GT and LT options at the same time are not compatible")

	errCursor = protocol.Errorf("invalid cursor")
)
