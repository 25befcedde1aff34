// Models of the ECP5 cells that nextpnr packs into: Yosys' have not what only they use (a flip-flop's input M, the
// write port of distributed memory), and its TRELLIS_COMB drives no carry out. Source: Project Trellis' description of
// the slice. tests/test_sim_routed_cells.py compares them with the Verilog that was placed.

// One LUT of a slice, with its part of the carry chain, of the wide multiplexers and of distributed memory.
module TRELLIS_COMB (
    input A, B, C, D, M, FCI, F1, FXA, FXB, DI0, DI1, WD, WAD0, WAD1, WAD2, WAD3, WRE, WCK,
    output F, FCO, OFX
);
    parameter MODE = "LOGIC", CCU2_INJECT1 = "NO", WREMUX = "WRE", WCKMUX = "WCK";
    parameter [15:0] INITVAL = 0;
    parameter [0:0] IS_Z1 = 0;

    wire lut = INITVAL[{D, C, B, A}];
    assign OFX = IS_Z1 ? (M ? FXB : FXA) : (M ? F1 : F);

    generate
        if (MODE == "CCU2") begin
            // Carry: the upper inputs choose whether it is generated from A and B or propagated.
            wire generated = CCU2_INJECT1 == "YES" ? 1'b0 : INITVAL[{2'b00, B, A}];
            assign F = lut ^ (CCU2_INJECT1 == "YES" ? 1'b0 : FCI);
            assign FCO = lut ? FCI : generated;
        end else if (MODE == "DPRAM") begin
            reg [15:0] memory = INITVAL;
            wire clock = (WCKMUX == "INV") ^ WCK;
            always @(posedge clock) if ((WREMUX == "INV") ^ WRE) memory[{WAD3, WAD2, WAD1, WAD0}] <= WD;
            assign F = memory[{A, C, B, D}];
            assign FCO = 1'b0;
        end else begin
            assign F = lut;
            assign FCO = 1'b0;
        end
    endgenerate

    initial
        if (MODE != "LOGIC" && MODE != "CCU2" && MODE != "DPRAM") begin
            $display("Error: TRELLIS_COMB %m: mode %0s is not modelled", MODE);
            $finish;
        end
endmodule

// The write port of four LUTs that are memory: what comes to the inputs of two others goes to all four.
module TRELLIS_RAMW (
    input A0, B0, C0, D0, A1, B1, C1, D1,
    output WADO0, WADO1, WADO2, WADO3, WDO0, WDO1, WDO2, WDO3
);
    assign {WADO3, WADO2, WADO1, WADO0} = {A0, C0, B0, D0};
    assign {WDO3, WDO2, WDO1, WDO0} = {B1, D1, A1, C1};
endmodule

// SD: 1, the input is the LUT's output DI; 0, it is M.
module TRELLIS_FF (input CLK, LSR, CE, DI, M, output reg Q);
    parameter CEMUX = "1", CLKMUX = "CLK", LSRMUX = "LSR", GSR = "DISABLED", SD = "0";
    parameter SRMODE = "LSR_OVER_CE", REGSET = "RESET";
    localparam VALUE = REGSET == "SET";
    wire clock = (CLKMUX == "INV") ^ CLK, reset = (LSRMUX == "INV") ^ LSR;
    wire enable = CEMUX == "1" || ((CEMUX == "INV") ^ CE), data = SD == "1" ? DI : M;

    initial Q = VALUE;
    generate
        if (SRMODE == "ASYNC") begin
            always @(posedge clock, posedge reset) if (reset) Q <= VALUE; else if (enable) Q <= data;
        end else if (SRMODE == "LSR_OVER_CE") begin
            always @(posedge clock) if (reset) Q <= VALUE; else if (enable) Q <= data;
        end else begin
            always @(posedge clock) if (enable) Q <= reset ? VALUE : data;
        end
    endgenerate

    initial
        if (GSR != "DISABLED") begin
            $display("Error: TRELLIS_FF %m: a global reset is not modelled");
            $finish;
        end
endmodule

// A global clock that is never stopped.
module DCCA (input CLKI, CE, output CLKO);
    assign CLKO = CLKI & CE;
endmodule
