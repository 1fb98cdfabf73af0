package keyargs

import (
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
